// OpenSSL's libcrypto: SHA-256 and HMAC, AES-GCM and ChaCha20-Poly1305, and memory for secrets.
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
