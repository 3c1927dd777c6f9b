// CipherContext: authenticated encryption in one direction under one key. libipsec-mb does AES-256-GCM if the processor
// has the vector instructions that make it three times as fast; libcrypto does everything else. A context is set up
// once for each key and reused for many strings, so nothing is allocated for a string.

import BakCore
import CKernels
import COpenSSL

/// A keyed cipher. For one thread at a time. Its key is wiped when it is released.
final class CipherContext {
    static let keyBytes = 32
    static let nonceBytes = 12
    static let tagBytes = 16

    private enum Implementation {
        case libcrypto(OpaquePointer)
        case vectors(UnsafeMutableRawPointer)
    }
    private let implementation: Implementation
    private let isSealing: Bool
    /// libcrypto counts in 32 bits, so long input is processed in pieces.
    private static let pieceBytes = 1 << 30

    private static nonisolated(unsafe) let aes256GCM = Libcrypto.cipher("AES-256-GCM")
    private static nonisolated(unsafe) let chaCha20Poly1305 = Libcrypto.cipher("ChaCha20-Poly1305")

    /// Sets up a cipher for sealing or for opening.
    ///
    /// - Parameter usesVectors: true to use the vector implementation if the processor has it. The bytes are the same.
    init(_ method: SealMethod, key: UnsafeRawBufferPointer, isSealing: Bool, usesVectors: Bool = true) {
        precondition(key.count == Self.keyBytes)
        self.isSealing = isSealing
        let wideBytes = method == .aes256GCM && usesVectors ? ck_gcm_bytes() : 0
        if wideBytes > 0 {
            let cipher = UnsafeMutableRawPointer.allocate(byteCount: wideBytes, alignment: 64)
            ck_gcm_key(cipher, key.bytes)
            implementation = .vectors(cipher)
            return
        }
        let cipher: OpaquePointer? =
            switch method {
            case .none: nil
            case .aes256GCM: Self.aes256GCM
            case .chaCha20Poly1305: Self.chaCha20Poly1305
            }
        guard let cipher, let context = EVP_CIPHER_CTX_new() else {
            preconditionFailure("libcrypto does not give \(method)")
        }
        implementation = .libcrypto(context)
        Self.require(EVP_CipherInit_ex(context, cipher, nil, key.bytes, nil, isSealing ? 1 : 0))
    }

    deinit {
        switch implementation {
        case .libcrypto(let context): EVP_CIPHER_CTX_free(context)
        case .vectors(let cipher):
            OPENSSL_cleanse(cipher, ck_gcm_bytes())
            cipher.deallocate()
        }
    }

    /// Begins a string. `authenticated` is bound to the string but not encrypted.
    func begin(nonce: UnsafeRawBufferPointer, authenticating authenticated: UnsafeRawBufferPointer) {
        precondition(nonce.count == Self.nonceBytes)
        switch implementation {
        case .libcrypto(let context):
            Self.require(EVP_CipherInit_ex(context, nil, nil, nil, nonce.bytes, isSealing ? 1 : 0))
            if !authenticated.isEmpty { Self.process(context, authenticated, into: nil) }
        case .vectors(let cipher):
            ck_gcm_begin(cipher, nonce.bytes, authenticated.bytes, authenticated.count)
        }
    }

    /// Encrypts or decrypts the next bytes of the string. `output` needs room for as many bytes, and may be the input's
    /// memory.
    func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer) {
        let output = output.assumingMemoryBound(to: UInt8.self)
        switch implementation {
        case .libcrypto(let context): Self.process(context, input, into: output)
        case .vectors(let cipher) where isSealing: ck_gcm_seal(cipher, output, input.bytes, input.count)
        case .vectors(let cipher): ck_gcm_open(cipher, output, input.bytes, input.count)
        }
    }

    private static func process(
        _ context: OpaquePointer, _ input: UnsafeRawBufferPointer, into output: UnsafeMutablePointer<UInt8>?
    ) {
        var done = 0
        while done < input.count {
            let piece = min(pieceBytes, input.count - done)
            var written: Int32 = 0
            require(
                EVP_CipherUpdate(
                    context, output.map { $0 + done }, &written, input.bytes! + done, Int32(piece)))
            done += piece
        }
    }

    /// Ends a string that was sealed and writes its tag.
    func finish(tag: UnsafeMutableRawPointer) {
        precondition(isSealing)
        switch implementation {
        case .libcrypto(let context):
            var (none, written): (UInt64, Int32) = (0, 0)
            Self.require(
                withUnsafeMutableBytes(of: &none) { EVP_CipherFinal_ex(context, $0.bytes, &written) })
            Self.require(EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagBytes), tag))
        case .vectors(let cipher): ck_gcm_tag(cipher, tag.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// Ends a string that was opened. Returns false if the bytes are not those that were sealed. The comparison takes
    /// the same time wherever the difference is.
    func matches(tag: UnsafeRawPointer) -> Bool {
        precondition(!isSealing)
        switch implementation {
        case .libcrypto(let context):
            Self.require(
                EVP_CIPHER_CTX_ctrl(
                    context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagBytes),
                    UnsafeMutableRawPointer(mutating: tag)))
            var (none, written): (UInt64, Int32) = (0, 0)
            return withUnsafeMutableBytes(of: &none) { EVP_CipherFinal_ex(context, $0.bytes, &written) } == 1
        case .vectors(let cipher):
            return withUnsafeTemporaryAllocation(byteCount: Self.tagBytes, alignment: 16) { own in
                ck_gcm_tag(cipher, own.bytes)
                return CRYPTO_memcmp(own.baseAddress, tag, Self.tagBytes) == 0
            }
        }
    }

    /// These calls fail only if there is no memory. The program then ends instead of storing anything unsealed.
    private static func require(_ result: Int32) {
        guard result == 1 else { Memory.exhausted("encryption") }
    }
}

extension UnsafeRawBufferPointer {
    fileprivate var bytes: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeMutableRawBufferPointer {
    fileprivate var bytes: UnsafeMutablePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}
