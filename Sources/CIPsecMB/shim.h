// libipsec-mb: AES-GCM on wide vectors, SHA-256 of many strings at once. x86-64 only.
#include <intel-ipsec-mb.h>
