// Text of JavaScript as the bytes of file names and arguments, and back. No byte is lost on either way.

#include "text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// A byte that is no UTF-8 is the lone surrogate U+DC80 + (byte - 0x80) in JavaScript. QuickJS writes a surrogate as
// three bytes, ed b2 80 to ed b3 bf, which UTF-8 never has; other lone surrogates become U+FFFD, as in other programs
// that read JSON. rfc:3629 section 4; PEP 383
static size_t unescape_bytes(char *text, size_t length)
{
    unsigned char *from = (unsigned char *)text, *end = from + length, *to = memchr(text, 0xed, length);
    if (!to)
        return length;
    for (from = to; from < end;) {
        if (from[0] != 0xed || end - from < 3 || from[1] < 0xa0) {
            *to++ = *from++;
            continue;
        }
        unsigned code = 0xd000u | (from[1] & 0x3fu) << 6 | (from[2] & 0x3fu);
        if (code >= 0xdc80 && code <= 0xdcff) {
            *to++ = (unsigned char)(code & 0xff);
        } else {
            memcpy(to, "\xef\xbf\xbd", 3);
            to += 3;
        }
        from += 3;
    }
    *to = 0;
    return (size_t)(to - (unsigned char *)text);
}

const char *text_of(JSContext *context, JSValueConst value, size_t *length)
{
    const char *text = JS_ToCStringLen(context, length, value);
    // Text without other than ASCII may be the engine's own copy; it has nothing to unescape, so that is never written
    // to.
    if (text)
        *length = unescape_bytes((char *)text, *length);
    return text;
}

// How many of the bytes at `at` are one character of valid UTF-8; 0 if none. rfc:3629 section 4
static size_t utf8_length(const unsigned char *at, const unsigned char *end)
{
    size_t length = at[0] < 0x80 ? 1 : at[0] < 0xc2 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf5 ? 4 : 0;
    if ((size_t)(end - at) < length)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool surrogate = at[0] == 0xed && at[1] >= 0xa0;
    bool beyond = at[0] == 0xf4 && at[1] >= 0x90;
    return overlong || surrogate || beyond ? 0 : length;
}

// Most text is ASCII, in which no byte has its highest bit.
static const unsigned char *skip_ascii(const unsigned char *at, const unsigned char *end)
{
    for (uint64_t eight; end - at >= (ptrdiff_t)sizeof eight; at += sizeof eight) {
        memcpy(&eight, at, sizeof eight);
        if (eight & 0x8080808080808080)
            break;
    }
    return at;
}

JSValue text_from(JSContext *context, const unsigned char *bytes, size_t length)
{
    const unsigned char *end = bytes + length, *at = skip_ascii(bytes, end);
    size_t valid;
    while (at < end && (valid = utf8_length(at, end)) > 0)
        at = skip_ascii(at + valid, end);
    if (at == end)
        return JS_NewStringLen(context, (const char *)bytes, length);

    unsigned char *escaped = js_malloc(context, length * 3), *to = escaped;
    if (!escaped)
        return JS_EXCEPTION;
    for (at = bytes; at < end;) {
        valid = utf8_length(at, end);
        if (valid == 0) {
            *to++ = 0xed;
            *to++ = *at < 0xc0 ? 0xb2 : 0xb3;
            *to++ = *at++ & 0xbf;
            continue;
        }
        memcpy(to, at, valid);
        to += valid;
        at += valid;
    }
    JSValue text = JS_NewStringLen(context, (const char *)escaped, (size_t)(to - escaped));
    js_free(context, escaped);
    return text;
}
