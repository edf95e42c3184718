/* expr_internal: the tree, shared by the compiler and the evaluator. */
#ifndef BULKHEAD_EXPR_EXPR_INTERNAL_H
#define BULKHEAD_EXPR_EXPR_INTERNAL_H

#include "base/map.h"
#include "expr/expr.h"

enum node_kind { NODE_AND, NODE_OR, NODE_NOT, NODE_CHECK };

struct node {
    enum node_kind kind;
    const unsigned *kids; /* operands of and, or, not */
    size_t n;
    size_t check; /* NODE_CHECK: index */
    unsigned cost;
};

struct expr_set {
    struct arena *a;
    const struct expr_schema *schema;
    struct expr_names names;
    bool share; /* keep equal parts once */
    struct node *nodes;
    size_t nodes_n, nodes_cap;
    struct expr_check *checks;
    size_t checks_n, checks_cap;
    struct map *shared; /* text of a node or check -> its index + 1; while compiling */
    bool calls;         /* has transformers: evaluation needs room */
};

struct expr {
    struct expr_set set;
    unsigned root;
};

enum transformer { TO_LOWER, TO_UPPER, TO_B64, TO_BASENAME, TO_LEN, TO_JOIN, TO_CONCAT, TO_VAL };
struct expr_operand {
    enum { OPERAND_FIELD, OPERAND_TEXT, OPERAND_CALL } kind;
    enum expr_type type;
    unsigned field;
    struct str arg, text;
    enum transformer fn;
    struct expr_operand *args;
    size_t args_n;
};

struct parser {
    struct arena *a;
    struct str text;
    size_t at;
    unsigned depth;
    struct expr_set *set;
    struct err *e;
    bool pattern; /* a regex is read: escapes that are not ours are its own */
};

/* ---- expr_lex.c: what stands where the parser is ---- */
int expr_fail(struct parser *p, size_t at, int code, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int expr_look(const struct parser *p);
bool expr_letter(int c);
bool expr_word_char(int c);
bool expr_blank(int c);
void expr_skip_blanks(struct parser *p);
bool expr_accept(struct parser *p, const char *token); /* a keyword or symbol; a keyword must end here as well */
struct str expr_here(const struct parser *p);          /* what the reader of a message sees at this place */
int expr_read_text(struct parser *p, struct str *ret, bool *quoted);
int expr_read_quoted(struct parser *p, struct str *ret);

/* ---- expr_operand.c ---- */
int expr_read_operand(struct parser *p, struct expr_operand *ret); /* a field or a transformer */
bool expr_at_call(const struct parser *p);                         /* a transformer's name and a ( */

/* ---- expr_value.c: right sides ---- */
struct op_info {
    const char *text;
    enum expr_op op;
    unsigned types;
    bool list;
};
const char *expr_type_words(enum expr_type t);
int expr_read_operator(struct parser *p, const struct op_info **ret);
int expr_read_value(struct parser *p, const char *name, struct expr_check *c);
int expr_read_list(struct parser *p, const char *name, struct expr_check *c);
void expr_regex_free(struct expr_check *c);
int expr_prepare(struct parser *p, size_t at, struct expr_check *c); /* sort, hash, compile */
int expr_str_order(const void *a, const void *b); /* struct expr_value by text, for qsort and bsearch */

/* ---- expr_text.c ---- */
bool expr_text_check(const struct expr_check *c, struct str s);

#endif
