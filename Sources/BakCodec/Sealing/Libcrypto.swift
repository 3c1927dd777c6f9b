// Libcrypto: starts OpenSSL's library. By default the library reads the system's configuration and cleans up when the
// program ends, which takes a tenth of the time of a short command. Both are turned off. No configuration may change
// the results of hashing and sealing. A clean-up is not needed, because the keys that must be wiped are in
// `SecretBytes`, not in the library.

import COpenSSL

enum Libcrypto {
    /// Starts the library once. Check it before the first call that looks up an algorithm.
    static let isStarted: Bool = {
        let options = UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT)
        return OPENSSL_init_crypto(options, nil) == 1
    }()

    /// Returns a cipher; nil if the library has no cipher of that name.
    static func cipher(_ name: String) -> OpaquePointer? {
        isStarted ? EVP_CIPHER_fetch(nil, name, nil) : nil
    }

    /// Returns a hash; nil if the library has no hash of that name.
    static func digest(_ name: String) -> OpaquePointer? { isStarted ? EVP_MD_fetch(nil, name, nil) : nil }
}
