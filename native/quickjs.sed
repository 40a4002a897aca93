# QuickJS's sources → the same, with the counting of references in native/counted.h and the spreading of arrays in native/spread.h.
/^typedef struct JSRefCountHeader/i #include "counted.h"

s/--([a-z0-9_]+->(header\.)?ref_count)\b/count_down(\&\1)/
s/([a-z0-9_]+->(header\.)?ref_count)--/count_down(\&\1)/
s/([a-z0-9_]+->(header\.)?ref_count)\+\+/count_up(\&\1)/

# Whether something may be changed in place, as nobody else refers to it; and whether the collector meets an object again.
/if \(/s/([a-z0-9_]+->(header\.)?ref_count) ([!=]= 1)\b/count_of(\&\1) \3/

# Arrays are spread without an iterator.
/^static __exception int js_append_enumerate/i #include "spread.h"
/^static __exception int js_append_enumerate/,/^}/s/^    enumobj = JS_GetIterator\(.*/    if (is_array_iterator) {\n        int appended = append_plain_array(ctx, sp);\n        if (appended)\n            return appended > 0 ? 0 : -1;\n    }\n&/

# Most texts that are compared are names, of which there is one each: of a type, a kind, a field.
s/^( +)res = \(js_string_compare\(ctx, p1, p2\) == 0\);/\1res = p1 == p2 || (p1->len == p2->len \&\& js_string_compare(ctx, p1, p2) == 0);/
