// The program around the embedded engine: QuickJS with coffer's TypeScript in it, and nothing else.
//
// There are two copies of it. The one that the compiler makes has an empty heap: it loads a bundle, and writes itself
// with the heap that resulted as a second one, which is what users run. That finds the engine, the program and all its
// tables where the first left them, so a start costs a few page faults instead of a millisecond of setting up.
//
//     build/front BUNDLE.js PROGRAM    (when building)
//     PROGRAM ARGUMENT...

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "heap.h"
#include "natives.h"

enum { BUG = 70, GC_THRESHOLD_BYTES = 64 << 20, STACK_BYTES = 1 << 20 };

static void print(const char *text)
{
    if (write(STDERR_FILENO, text, strlen(text)) < 0)
        return;
}

static _Noreturn void stop_with(const char *what, const char *why)
{
    print("coffer: ");
    print(what);
    print(": ");
    print(why);
    print("\n");
    _exit(BUG);
}

static _Noreturn void stop_with_exception(JSContext *context)
{
    JSValue exception = JS_GetException(context);
    const char *message = JS_ToCString(context, exception);
    JSValue stack = JS_GetPropertyStr(context, exception, "stack");
    const char *trace = JS_IsUndefined(stack) ? NULL : JS_ToCString(context, stack);
    print("coffer: this is a bug in coffer: ");
    print(message ? message : "an exception without a message");
    print("\n");
    print(trace ? trace : "");
    _exit(BUG);
}

static JSContext *new_engine(void)
{
    heap_start();
    JSRuntime *runtime = JS_NewRuntime2(&heap_functions, NULL);
    JSContext *context = runtime ? JS_NewContextRaw(runtime) : NULL;
    if (!context)
        stop_with("cannot start the engine", "no memory");
    // A one-shot process ends long before it has this much; one that waits for events all day needs it.
    JS_SetGCThreshold(runtime, GC_THRESHOLD_BYTES);
    JS_SetMaxStackSize(runtime, STACK_BYTES);
    JS_AddIntrinsicBaseObjects(context);
    JS_AddIntrinsicDate(context);
    JS_AddIntrinsicEval(context);
    JS_AddIntrinsicRegExpCompiler(context);
    JS_AddIntrinsicRegExp(context);
    JS_AddIntrinsicJSON(context);
    JS_AddIntrinsicMapSet(context);
    JS_AddIntrinsicTypedArrays(context);
    JS_AddIntrinsicPromise(context);
    JS_AddIntrinsicBigInt(context);
    return context;
}

static char *read_bundle(const char *path, size_t *length)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0)
        stop_with(path, strerror(errno));
    *length = (size_t)status.st_size;
    // Behind the bytes of the file the page is zero, and JS_Eval wants a NUL there; a bundle that fills its last page
    // gets one more.
    char *text = mmap(NULL, *length + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED || read(fd, text, *length) != status.st_size)
        stop_with(path, strerror(errno));
    close(fd);
    return text;
}

// Bytecode, outside of the heap.
struct code {
    uint8_t *bytes;
    size_t length;
};

// Compiles the bundle. The engine that does so is thrown away: its heap is full of text and of what the compiler left, between which the objects
// of the program would lie scattered over many more pages. Line numbers stay in the bytecode.
static struct code compile(JSContext *context, const char *path)
{
    size_t length;
    char *bundle = read_bundle(path, &length);
    JSValue compiled = JS_Eval(context, bundle, length, "coffer.js", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(compiled))
        stop_with_exception(context);
    struct code code;
    uint8_t *written = JS_WriteObject(context, &code.length, compiled, JS_WRITE_OBJ_BYTECODE);
    if (!written)
        stop_with_exception(context);
    code.bytes = mmap(NULL, code.length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (code.bytes == MAP_FAILED)
        stop_with("cannot keep the bytecode", strerror(errno));
    memcpy(code.bytes, written, code.length);
    return code;
}

// Runs the bundle, an expression script that leaves its exports in the global `coffer`, and keeps the one that is
// called `main`.
static void load(JSContext *context, struct code code)
{
    JSValue function = JS_ReadObject(context, code.bytes, code.length, JS_READ_OBJ_BYTECODE);
    JSValue result = JS_IsException(function) ? function : JS_EvalFunction(context, function);
    if (JS_IsException(result))
        stop_with_exception(context);
    JSValue global = JS_GetGlobalObject(context);
    JSValue exports = JS_GetPropertyStr(context, global, "coffer");
    heap.main = JS_GetPropertyStr(context, exports, "main");
    if (!JS_IsFunction(context, heap.main))
        stop_with("the bundle", "it exports no function main");

    // A number that is the same at every start is not random. What needs one asks the kernel.
    JSValue math = JS_GetPropertyStr(context, global, "Math");
    JSAtom random = JS_NewAtom(context, "random");
    JS_DeleteProperty(context, math, random, 0);
    JS_FreeAtom(context, random);
    JS_FreeValue(context, math);
    JS_FreeValue(context, exports);
    JS_FreeValue(context, global);
    JS_FreeValue(context, result);
}

static int build(int argc, char **argv)
{
    if (argc != 3)
        stop_with("usage", "front BUNDLE.js PROGRAM");
    struct code code = compile(new_engine(), argv[1]);
    if (!heap_is_whole())
        stop_with(argv[1], "it is too large for HEAP_BYTES (native/heap.h)");
    heap_clear();
    JSContext *context = new_engine();
    if (natives_define(context) < 0)
        stop_with_exception(context);
    load(context, code);
    JS_RunGC(JS_GetRuntime(context));
    if (!heap_is_whole())
        stop_with(argv[1], "what it makes is too large for HEAP_BYTES (native/heap.h)");
    heap_freeze();
    heap.context = context;
    if (!heap_write_program(argv[2]))
        stop_with(argv[2], strerror(errno));
    return 0;
}

// A standard descriptor that is closed would become the first file that is opened, and get what is meant for a
// terminal.
static void open_standard_descriptors(void)
{
    struct pollfd standard[3] = {{.fd = 0}, {.fd = 1}, {.fd = 2}};
    if (poll(standard, 3, 0) < 0)
        return;
    for (int i = 0; i < 3; i++)
        if ((standard[i].revents & POLLNVAL) && open("/dev/null", O_RDWR) < 0)
            stop_with("/dev/null", strerror(errno));
}

static int run(char **argv, char **envp)
{
    heap_thaw();
    open_standard_descriptors();
    JSContext *context = heap.context, *waiting;
    JSRuntime *runtime = JS_GetRuntime(context);
    JS_UpdateStackTop(runtime);
    if (natives_start(context, argv, envp) < 0)
        stop_with_exception(context);
    JSValue result = JS_Call(context, heap.main, JS_UNDEFINED, 0, NULL);
    int status;
    if (JS_IsException(result) || JS_ToInt32(context, &status, result) < 0)
        stop_with_exception(context);
    for (int ran; (ran = JS_ExecutePendingJob(runtime, &waiting)) != 0;)
        if (ran < 0)
            stop_with_exception(waiting);
    return status;
}

int main(int argc, char **argv, char **envp)
{
    // _exit: there is nothing to flush, and all memory goes at once.
    _exit(heap.context ? run(argv, envp) : build(argc, argv));
}
