// Text of JavaScript as the bytes of file names and arguments, and back. src/base/native.ts says how (`encode`,
// `decode`).
#pragma once

#include <stddef.h>

#include <quickjs.h>

// UTF-8 of a string, with a NUL behind it; given back with JS_FreeCString. NULL after an exception.
const char *text_of(JSContext *context, JSValueConst value, size_t *length);

JSValue text_from(JSContext *context, const unsigned char *bytes, size_t length);
