// The global `native` of the embedded engine. src/base/native.ts describes it.
#pragma once

#include <quickjs.h>

// Adds what does not depend on this start: the functions. False after a JavaScript exception.
int natives_define(JSContext *context);

// Adds what does: `args` and `env`.
int natives_start(JSContext *context, char **args, char **env);
