// libzstd: single-shot compression and decompression with reused contexts.
#include <zstd.h>
