/* Whether a plan can be run: what it points to is within it, what it makes fits, and it comes to an end. Nothing of a plan is used before. */
#ifndef COFFER_SOUND_H
#define COFFER_SOUND_H

static int inside(uint64_t at, uint64_t bytes, uint64_t limit)
{
    return at <= limit && bytes <= limit - at;
}

static int op_is_sound(const struct plan *p, const struct op *op)
{
    static const uint8_t widths[] = { [OP_STORE4] = 4, [OP_STORE8] = 8, [OP_ADDRESS] = 8, [OP_LOAD1] = 1, [OP_LOAD2] = 2, [OP_LOAD4] = 4,
                                      [OP_LOAD8] = 8, [OP_CHECK1] = 1, [OP_CHECK2] = 2, [OP_CHECK4] = 4, [OP_DIFFERS] = 4 };
    int checks = op->kind >= OP_EQUALS;
    if (op->kind < OP_STORE4 || op->kind > OP_DIFFERS) return 0;
    if (!checks && op->kind != OP_ADDRESS && op->kind != OP_TEXT && op->kind != OP_COPY && op->slot >= p->slot_count) return 0;
    if (op->kind == OP_ADDRESS || op->kind == OP_COPY)
        if (!inside(op->a, op->kind == OP_COPY ? op->b : 0, p->blob_bytes)) return 0;
    /* A text may grow to the room that the plan reserved for it: at .. at + b. */
    if (op->kind == OP_TEXT) return inside(op->at, op->b, p->blob_bytes);
    return inside(op->at, widths[op->kind], p->blob_bytes);
}

/* The longest text that the operations of a step can make must fit into the room reserved by OP_TEXT. */
static int texts_fit(const struct run *run, const struct step *step)
{
    uint64_t room = 0;
    for (uint32_t i = 0; i < step->before_count; i++) {
        const struct op *op = &run->ops[step->before + i];
        uint64_t need = op->kind == OP_COPY ? op->b + 1u : op->kind == OP_DECIMAL ? 21 : 0;
        if (op->kind == OP_TEXT) room = op->b;
        if (op->kind == OP_COPY || op->kind == OP_DECIMAL) {
            if (need > room) return 0;
            room -= need - 1;
        }
    }
    return 1;
}

static int step_is_sound(const struct run *run, uint32_t index)
{
    const struct plan *p = run->plan;
    const struct step *s = &run->steps[index];
    if (!inside(s->before, s->before_count, p->op_count) || !inside(s->after, s->after_count, p->op_count)) return 0;
    if (s->into != NONE && s->into >= p->slot_count) return 0;
    for (int i = 0; i < 6; i++) {
        int kind = s->kinds >> (2 * i) & 3;
        if (kind == ARG_BLOB && s->args[i] > p->blob_bytes) return 0;
        if (kind == ARG_SLOT && s->args[i] >= p->slot_count) return 0;
        if (kind == 3) return 0;
    }
    return texts_fit(run, s);
}

/* Puts a list one level below the step that owns it. It lies behind that step and the first list, and shares no step with another one. */
static int nest(const struct plan *p, uint8_t *level, uint32_t owner, uint32_t first, uint32_t count)
{
    if (!count) return 1;
    if (first <= owner || first < p->main_count || !inside(first, count, p->step_count) || level[owner] == MAX_NESTING) return 0;
    for (uint32_t i = first; i < first + count; i++) {
        if (level[i]) return 0;
        level[i] = level[owner] + 1;
    }
    return 1;
}

/* So no plan runs for ever, or needs more stack than there is. */
static int lists_are_sound(const struct run *run)
{
    const struct plan *p = run->plan;
    uint8_t level[p->step_count + 1];
    memset(level, 0, sizeof level);
    for (uint32_t i = 0; i < p->step_count; i++) {
        const struct step *s = &run->steps[i];
        if (!nest(p, level, i, s->child, s->child_count) || !nest(p, level, i, s->undo, s->undo_count)) return 0;
    }
    return 1;
}

static int is_sound(const struct run *run)
{
    const struct plan *p = run->plan;
    uint64_t total = p->total_bytes;
    if (p->steps % 8 || p->ops % 4 || p->reads % 4 || p->blob % 8) return 0;
    if (p->step_count >= NONE || p->op_count >= NONE || p->slot_count >= NONE || p->main_count > p->step_count) return 0;
    if (!inside(p->steps, (uint64_t)p->step_count * sizeof(struct step), total)) return 0;
    if (!inside(p->ops, (uint64_t)p->op_count * sizeof(struct op), total)) return 0;
    if (!inside(p->reads, (uint64_t)p->read_count * sizeof(struct range), total)) return 0;
    if (!inside(p->blob, p->blob_bytes, total)) return 0;
    /* The blob is what calls and operations write to, so nothing that was validated may be in it: it is the last part. */
    if (p->blob < sizeof(struct plan) || p->blob < p->steps + p->step_count * sizeof(struct step) ||
        p->blob < p->ops + p->op_count * sizeof(struct op) || p->blob < p->reads + p->read_count * sizeof(struct range)) return 0;
    uint64_t read_bytes = 0;
    for (uint32_t i = 0; i < p->read_count; i++) {
        const struct range *r = (const struct range *)(run->frame + p->reads) + i;
        read_bytes += r->bytes;
        if (!inside(r->at, r->bytes, p->blob_bytes) || read_bytes > MAX_PLAN_BYTES) return 0;
    }
    for (uint32_t i = 0; i < p->op_count; i++)
        if (!op_is_sound(p, &run->ops[i])) return 0;
    for (uint32_t i = 0; i < p->step_count; i++)
        if (!step_is_sound(run, i)) return 0;
    return lists_are_sound(run);
}

#endif
