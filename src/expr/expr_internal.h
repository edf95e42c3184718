/* expr_internal: the tree, shared by the compiler and the evaluator. */
#ifndef BULKHEAD_EXPR_EXPR_INTERNAL_H
#define BULKHEAD_EXPR_EXPR_INTERNAL_H

#include "expr/expr.h"

enum node_kind { NODE_AND, NODE_OR, NODE_NOT, NODE_CHECK };

struct node {
    enum node_kind kind;
    struct node *first, *next; /* operands of and, or, not */
    size_t check;              /* NODE_CHECK: index */
};

struct expr {
    const struct expr_schema *schema;
    struct node *root;
    struct expr_check *checks;
    size_t checks_n, checks_cap;
};

int expr_str_order(const void *a, const void *b); /* struct expr_value by text, for qsort and bsearch */

#endif
