// Libcrypto: how OpenSSL's library is started. Its own way reads the system's configuration and cleans up when the
// program ends, which together take a tenth of a short command. No configuration may change what ids and seals come to,
// and the keys that are to be wiped are not the library's (`SecretBytes`).

import COpenSSL

enum Libcrypto {
    /// Starts the library once; to be asked before the first call that looks up an algorithm.
    static let isStarted: Bool = {
        let options = UInt64(OPENSSL_INIT_NO_LOAD_CONFIG) | UInt64(OPENSSL_INIT_NO_ATEXIT)
        return OPENSSL_init_crypto(options, nil) == 1
    }()

    /// A cipher; nil if the library has none of that name.
    static func cipher(_ name: String) -> OpaquePointer? {
        isStarted ? EVP_CIPHER_fetch(nil, name, nil) : nil
    }

    /// A hash; nil if the library has none of that name.
    static func digest(_ name: String) -> OpaquePointer? { isStarted ? EVP_MD_fetch(nil, name, nil) : nil }
}
