# QuickJS's sources → the same, with the counting of references in native/counted.h.
/^typedef struct JSRefCountHeader/i #include "counted.h"

s/--([a-z0-9_]+->(header\.)?ref_count)\b/count_down(\&\1)/
s/([a-z0-9_]+->(header\.)?ref_count)--/count_down(\&\1)/
s/([a-z0-9_]+->(header\.)?ref_count)\+\+/count_up(\&\1)/

# Whether something may be changed in place, as nobody else refers to it; and whether the collector meets an object again.
/if \(/s/([a-z0-9_]+->(header\.)?ref_count) ([!=]= 1)\b/count_of(\&\1) \3/
