// Access keys prove by themselves that a gateway of the cluster made them: whoever makes one up is refused without
// anybody being asked for it.

import Crypto

struct AccessKeys: Sendable {
    static let sizeBytes = 20
    private static let prefix = "SOL"
    private static let tagSizeBytes = 8
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

    private let key: SymmetricKey

    /// - Parameter sharedKey: that all gateways of the cluster have.
    init(sharedKey: [UInt8]) {
        key = HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: sharedKey), info: Array("solidus access keys".utf8),
            outputByteCount: 32)
    }

    /// A new one.
    func make() -> String {
        var generator = SystemRandomNumberGenerator()
        let count = Self.sizeBytes - Self.prefix.utf8.count - Self.tagSizeBytes
        let random = (0..<count).map { _ in Self.alphabet[Int.random(in: 0..<32, using: &generator)] }
        let name = Array(Self.prefix.utf8) + random
        return String(decoding: name + tag(name), as: UTF8.self)
    }

    /// Whether it looks like one, whoever made it.
    static func isWellFormed(_ accessKey: String) -> Bool {
        accessKey.utf8.count == sizeBytes && accessKey.utf8.allSatisfy { alphabet.contains($0) }
    }

    /// Whether it was made with this key.
    func isGenuine(_ accessKey: String) -> Bool {
        let bytes = Array(accessKey.utf8)
        guard bytes.count == Self.sizeBytes, bytes.starts(with: Self.prefix.utf8) else { return false }
        let name = Array(bytes.dropLast(Self.tagSizeBytes))
        return isEqualInConstantTime(tag(name), Array(bytes.suffix(Self.tagSizeBytes)))
    }

    private func tag(_ name: [UInt8]) -> [UInt8] {
        HMAC<SHA256>.authenticationCode(for: name, using: key).prefix(Self.tagSizeBytes)
            .map { Self.alphabet[Int($0 & 31)] }
    }
}
