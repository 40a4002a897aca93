/* The wire format of plans and reports: what src/executor/wire.ts writes and reads. Little-endian, naturally aligned.
 *
 * A plan is one frame: header, steps, micro-operations, read ranges, and last the blob. Offsets are from the start of the frame, blob offsets
 * from the start of the blob. A report is one frame: header, failures, slots, read ranges, trace. */
#ifndef COFFER_WIRE_H
#define COFFER_WIRE_H
#include <stdint.h>

#define PLAN_MAGIC 0x31464f43u /* "COF1" */
#define NONE 0xffffu

struct plan {
    uint32_t magic, total_bytes, id, flags;
    uint32_t steps, step_count;   /* struct step[] */
    uint32_t ops, op_count;       /* struct op[] */
    uint32_t reads, read_count;   /* struct range[]: what the report brings back */
    uint32_t blob, blob_bytes;
    uint32_t main_count;          /* the first list: steps 0 .. main_count - 1 */
    uint32_t slot_count;
};
enum { PLAN_TRACE = 1, PLAN_CONCURRENT = 2 };

struct step {
    uint32_t number;              /* the system call, or one of the pseudo calls below */
    uint16_t kinds;               /* two bits for each argument: constant, blob offset, slot */
    uint16_t into;                /* slot of the result, or NONE */
    uint16_t skip_ok, skip_error; /* steps to pass over behind a success, behind a tolerated error */
    uint16_t before, before_count;/* micro-operations that complete the arguments */
    uint16_t after, after_count;  /* micro-operations that keep and check results */
    uint16_t child, child_count;  /* clone3: the list of the child */
    uint16_t undo, undo_count;
    uint16_t tolerate[4];         /* errnos; 0 ends */
    uint16_t retry[2];
    uint64_t args[6];
};
enum { ARG_CONSTANT, ARG_BLOB, ARG_SLOT };
enum { CALL_NOTHING = 0x10000, CALL_REPORT = 0x10001 };

_Static_assert(sizeof(struct step) == 88 && sizeof(struct plan) == 56, "src/executor/assemble.ts writes these sizes");

struct op { uint16_t kind, slot; uint32_t at, a, b; };
enum {
    OP_STORE4 = 1,   /* blob[at] = slot, 4 bytes */
    OP_STORE8,       /* blob[at] = slot, 8 bytes */
    OP_ADDRESS,      /* blob[at] = the address of blob[a] */
    OP_TEXT,         /* begin a text at blob[at] */
    OP_COPY,         /* add b bytes of blob[a] to the text */
    OP_DECIMAL,      /* add the slot in decimal to the text */
    OP_LENGTH,       /* slot = length of the text */
    OP_LOAD1, OP_LOAD2, OP_LOAD4, OP_LOAD8, /* slot = blob[at] */
    OP_EQUALS,       /* check: result == a, else errno `slot` */
    OP_AT_LEAST,     /* check: result >= a, else errno `slot` */
    OP_CHECK1, OP_CHECK2, OP_CHECK4,        /* check: (blob[at] & a) == b, else errno `slot` */
    OP_DIFFERS,      /* check: blob[at], 4 bytes, is not a, else errno `slot` */
};

struct range { uint32_t at, bytes; };

struct report {
    uint32_t total_bytes, id, kind, failure_count, slot_count, read_bytes, trace_count, reserved;
};
enum { REPORT_PROGRESS = 1, REPORT_DONE = 2, REPORT_FAILED = 3, REPORT_REFUSED = 4,
       REPORT_LOST = 5 /* the process of a concurrent plan was killed before it could answer */ };

struct failure { uint32_t step, error; int64_t result; uint32_t pid, undoing; };
struct trace { uint32_t step, pid; int64_t result; uint64_t begin_ns, end_ns; };

#define MAX_FAILURES 128u
#define MAX_TRACE 8192u
#define MAX_NESTING 16u /* lists in lists */
#define MAX_PLAN_BYTES (16u << 20)
#define MAX_CONCURRENT 16384u
#endif
