// liblz4: the block format alone; bakstore frames its own blobs.
#include <lz4.h>
