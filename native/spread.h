// `[...array]` of an array as any other: its elements are appended, and no iterator is made, asked and freed for them. A plan is put together
// of four hundred lists, and such an iterator takes 0.3 µs. Included into quickjs.c where js_append_enumerate begins; native/quickjs.sed.
#pragma once

// Of js_append_enumerate: sp is array, position, what is spread. 0 if it has to be iterated, 1 if it is done, -1 with an exception.
static int append_plain_array(JSContext *ctx, JSValue *sp)
{
    JSValue *from;
    uint32_t count, length;
    if (!js_get_fast_array(ctx, sp[-1], &from, &count))
        return 0;
    // A program could have given iterators of arrays another way to go on.
    JSValue next = JS_GetProperty(ctx, ctx->class_proto[JS_CLASS_ARRAY_ITERATOR], JS_ATOM_next);
    if (JS_IsException(next))
        return -1;
    BOOL is_usual = JS_IsCFunction(ctx, next, (JSCFunction *)js_array_iterator_next, 0);
    JS_FreeValue(ctx, next);
    if (js_get_length32(ctx, &length, sp[-1]))
        return -1;
    JSObject *into = JS_VALUE_GET_OBJ(sp[-3]);
    uint32_t at = JS_VALUE_GET_INT(sp[-2]);
    // Behind a hole, `[, ...array]`, the array is no plain one any more.
    if (!is_usual || length != count || !js_is_fast_array(ctx, sp[-3]) || into->u.array.count != at)
        return 0;
    for (uint32_t i = 0; i < count; i++)
        if (add_fast_array_element(ctx, into, JS_DupValue(ctx, from[i]), JS_PROP_THROW) < 0)
            return -1;
    sp[-2] = JS_NewInt32(ctx, (int32_t)(at + count));
    return 1;
}
