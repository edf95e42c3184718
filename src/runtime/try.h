/* try: in a throw-away container, what each control must stop. Started by runtime/prove.h as the container's first
 * program; for each row of control.tbl.h a child of its own does the deed, and one line tells what became of it:
 *
 *     CONTROL <tab> killed | refused ERRNO | ran | skipped REASON
 *
 * Nothing of it reaches beyond the container: files are its own, a mount is in its namespace, the module and the bpf
 * object are none.
 */
#ifndef BULKHEAD_RUNTIME_TRY_H
#define BULKHEAD_RUNTIME_TRY_H

int try_main(void);

#endif
