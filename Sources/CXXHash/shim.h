// libxxhash: XXH3-64 and XXH3-128, keyed ("withSecret") and plain.
#include <xxhash.h>
