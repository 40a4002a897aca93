// The functions of the global `native`: system calls, bytes of strings, and the start of the executor. They decide
// nothing: which call is made, and what its result means, is known in TypeScript. src/base/native.ts is their contract.

#define _GNU_SOURCE
#include "natives.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "heap.h"
#include "spawn.h"
#include "text.h"

enum { CALL_ARGS = 6 };

// The bytes of an ArrayBuffer, or of the part of it that a typed array or DataView shows.
static bool bytes_of(JSContext *context, JSValueConst value, unsigned char **bytes, size_t *length)
{
    size_t offset = 0;
    JSValue buffer = JS_GetProperty(context, value, heap.buffer);
    bool is_view = JS_IsObject(buffer);
    if (is_view) {
        JSValue start = JS_GetProperty(context, value, heap.byte_offset);
        JSValue size = JS_GetProperty(context, value, heap.byte_length);
        int64_t from = 0, count = 0;
        bool read = JS_ToInt64(context, &from, start) == 0 && JS_ToInt64(context, &count, size) == 0;
        JS_FreeValue(context, start);
        JS_FreeValue(context, size);
        if (!read) {
            JS_FreeValue(context, buffer);
            return false;
        }
        offset = (size_t)from;
        *length = (size_t)count;
    }
    size_t whole = 0;
    unsigned char *start = JS_GetArrayBuffer(context, &whole, is_view ? buffer : value);
    // The view itself keeps its buffer alive.
    JS_FreeValue(context, buffer);
    if (!start)
        return false;
    if (!is_view)
        *length = whole;
    *bytes = start + offset;
    return true;
}

static bool integer_of(JSContext *context, JSValueConst value, long *result)
{
    double number;
    if (JS_VALUE_GET_TAG(value) == JS_TAG_INT) {
        *result = JS_VALUE_GET_INT(value);
        return true;
    }
    JS_ToFloat64(context, &number, value);
    if (!(number >= -9007199254740992.0 && number <= 9007199254740992.0) || number != (double)(long)number) {
        JS_ThrowRangeError(context, "%f is no integer that fits a register", number);
        return false;
    }
    *result = (long)number;
    return true;
}

// One argument as a register. `*text` is what has to be freed behind the call.
static bool register_of(JSContext *context, JSValueConst value, long *result, const char **text)
{
    size_t length;
    int64_t wide;
    unsigned char *bytes;
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_INT:
    case JS_TAG_FLOAT64:
        return integer_of(context, value, result);
    case JS_TAG_NULL:
    case JS_TAG_UNDEFINED:
        *result = 0;
        return true;
    case JS_TAG_BIG_INT:
        if (JS_ToBigInt64(context, &wide, value) < 0)
            return false;
        *result = wide;
        return true;
    case JS_TAG_STRING:
        *text = text_of(context, value, &length);
        if (!*text)
            return false;
        if (memchr(*text, 0, length)) {
            JS_ThrowTypeError(context, "a string for the kernel has a NUL inside");
            return false;
        }
        *result = (long)*text;
        return true;
    case JS_TAG_OBJECT:
        if (!bytes_of(context, value, &bytes, &length))
            return false;
        *result = (long)bytes;
        return true;
    default:
        JS_ThrowTypeError(context, "a system call takes numbers, strings and bytes");
        return false;
    }
}

static JSValue native_syscall(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this;
    long registers[1 + CALL_ARGS] = {0};
    const char *texts[1 + CALL_ARGS] = {0};
    if (argc < 1 || argc > 1 + CALL_ARGS)
        return JS_ThrowTypeError(context, "a system call has a number and at most %d arguments", CALL_ARGS);
    bool known = true;
    for (int i = 0; known && i < argc; i++)
        known = register_of(context, argv[i], &registers[i], &texts[i]);
    long result = 0;
    if (known) {
        const long *r = registers;
        result = syscall(r[0], r[1], r[2], r[3], r[4], r[5], r[6]);
        if (result == -1)
            result = -errno;
    }
    for (int i = 0; i < argc; i++)
        if (texts[i])
            JS_FreeCString(context, texts[i]);
    return known ? JS_NewInt64(context, result) : JS_EXCEPTION;
}

static JSValue native_address(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    unsigned char *bytes;
    size_t length;
    return bytes_of(context, argv[0], &bytes, &length) ? JS_NewInt64(context, (int64_t)bytes) : JS_EXCEPTION;
}

static JSValue native_encode(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    size_t length;
    const char *text = text_of(context, argv[0], &length);
    if (!text)
        return JS_EXCEPTION;
    JSValue buffer = JS_NewArrayBufferCopy(context, (const uint8_t *)text, length);
    JS_FreeCString(context, text);
    if (JS_IsException(buffer))
        return buffer;
    JSValue bytes = JS_CallConstructor(context, heap.uint8_array, 1, &buffer);
    JS_FreeValue(context, buffer);
    return bytes;
}

static JSValue native_decode(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this;
    unsigned char *bytes;
    size_t length;
    int64_t start = 0, count;
    if (!bytes_of(context, argv[0], &bytes, &length))
        return JS_EXCEPTION;
    if (argc > 1 && !JS_IsUndefined(argv[1]) && JS_ToInt64(context, &start, argv[1]) < 0)
        return JS_EXCEPTION;
    count = (int64_t)length - start;
    if (argc > 2 && !JS_IsUndefined(argv[2]) && JS_ToInt64(context, &count, argv[2]) < 0)
        return JS_EXCEPTION;
    if (start < 0 || count < 0 || start > (int64_t)length || count > (int64_t)length - start)
        return JS_ThrowRangeError(context, "the bytes to decode are not all inside of the view");
    return text_from(context, bytes + start, (size_t)count);
}

static JSValue native_spawn_executor(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc;
    int fds[MAX_FDS], count = 0;
    JSValue length = JS_GetPropertyStr(context, argv[0], "length");
    if (JS_ToInt32(context, &count, length) < 0)
        return JS_EXCEPTION;
    if (count < 0 || count > MAX_FDS)
        return JS_ThrowRangeError(context, "the executor takes at most %d descriptors", MAX_FDS);
    for (int i = 0; i < count; i++) {
        JSValue fd = JS_GetPropertyUint32(context, argv[0], (uint32_t)i);
        int failed = JS_ToInt32(context, &fds[i], fd);
        JS_FreeValue(context, fd);
        if (failed)
            return JS_EXCEPTION;
    }
    return JS_NewInt32(context, spawn_executor(fds, count));
}

static JSValue native_executor_image(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc, (void)argv;
    return JS_NewArrayBuffer(context, (uint8_t *)executor_start, (size_t)(executor_end - executor_start), NULL, NULL, 0);
}

static JSValue native_monitor_image(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc, (void)argv;
    return JS_NewArrayBuffer(context, (uint8_t *)monitor_start, (size_t)(monitor_end - monitor_start), NULL, NULL, 0);
}

static JSValue native_reaper_image(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc, (void)argv;
    return JS_NewArrayBuffer(context, (uint8_t *)reaper_start, (size_t)(reaper_end - reaper_start), NULL, NULL, 0);
}

static JSValue native_resolver_image(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc, (void)argv;
    return JS_NewArrayBuffer(context, (uint8_t *)resolver_start, (size_t)(resolver_end - resolver_start), NULL, NULL, 0);
}

static JSValue native_relay_image(JSContext *context, JSValueConst this, int argc, JSValueConst *argv)
{
    (void)this, (void)argc, (void)argv;
    return JS_NewArrayBuffer(context, (uint8_t *)relay_start, (size_t)(relay_end - relay_start), NULL, NULL, 0);
}

#if defined(__x86_64__)
#define ARCHITECTURE "x86_64"
#elif defined(__aarch64__)
#define ARCHITECTURE "aarch64"
#else
#error "coffer knows the system calls of x86_64 and aarch64"
#endif

static const JSCFunctionListEntry properties[] = {
    JS_PROP_STRING_DEF("architecture", ARCHITECTURE, JS_PROP_ENUMERABLE),
    JS_CFUNC_DEF("syscall", 1, native_syscall),
    JS_CFUNC_DEF("address", 1, native_address),
    JS_CFUNC_DEF("encode", 1, native_encode),
    JS_CFUNC_DEF("decode", 1, native_decode),
    JS_CFUNC_DEF("spawnExecutor", 1, native_spawn_executor),
    JS_CFUNC_DEF("executorImage", 0, native_executor_image),
    JS_CFUNC_DEF("monitorImage", 0, native_monitor_image),
    JS_CFUNC_DEF("reaperImage", 0, native_reaper_image),
    JS_CFUNC_DEF("resolverImage", 0, native_resolver_image),
    JS_CFUNC_DEF("relayImage", 0, native_relay_image),
};

int natives_define(JSContext *context)
{
    JSValue global = JS_GetGlobalObject(context);
    heap.native = JS_NewObject(context);
    JS_SetPropertyFunctionList(context, heap.native, properties, sizeof properties / sizeof *properties);
    heap.uint8_array = JS_GetPropertyStr(context, global, "Uint8Array");
    heap.buffer = JS_NewAtom(context, "buffer");
    heap.byte_offset = JS_NewAtom(context, "byteOffset");
    heap.byte_length = JS_NewAtom(context, "byteLength");
    int defined = JS_SetPropertyStr(context, global, "native", JS_DupValue(context, heap.native));
    JS_FreeValue(context, global);
    return defined;
}

static JSValue array_of(JSContext *context, char **texts)
{
    JSValue array = JS_NewArray(context);
    for (uint32_t i = 0; texts[i]; i++) {
        JSValue text = text_from(context, (const unsigned char *)texts[i], strlen(texts[i]));
        if (JS_SetPropertyUint32(context, array, i, text) < 0)
            return JS_EXCEPTION;
    }
    return array;
}

int natives_start(JSContext *context, char **args, char **env)
{
    if (JS_SetPropertyStr(context, heap.native, "args", array_of(context, args)) < 0)
        return -1;
    return JS_SetPropertyStr(context, heap.native, "env", array_of(context, env));
}
