// libargon2: Argon2id, which turns a password into a key at the price of memory and time.
#include <argon2.h>
