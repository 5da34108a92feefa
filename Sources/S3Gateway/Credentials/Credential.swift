// Whom the gateways of a cluster serve.

import Foundation
import QuorumProtocol

/// An access key, its secret, and what may be done with it.
public struct Credential: Sendable, Equatable {
    /// The longest name for people, in bytes.
    public static let nameSizeBytesMax = 64
    static let secretSizeBytes = 40

    /// The name for people.
    public let name: String
    /// 20 of A-Z and 2-7 (`AccessKeys`).
    public let accessKey: String
    /// 40 of A-Z, a-z, 0-9, '+' and '/'.
    public let secret: String
    public let grants: [Grant]
    /// In milliseconds since 1970.
    public let createdMilliseconds: UInt64

    /// A new one.
    ///
    /// - Throws: `.invalidCredential` for a name that is none.
    init(name: String, grants: [Grant], accessKey: String) throws(GatewayError) {
        guard (1...Self.nameSizeBytesMax).contains(name.utf8.count),
            name.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F })
        else {
            throw .invalidCredential(
                "an access key's name is 1 to \(Self.nameSizeBytesMax) bytes of UTF-8 without spaces")
        }
        guard !grants.isEmpty else { throw .invalidCredential("an access key without any right is of no use") }
        var generator = SystemRandomNumberGenerator()
        self.name = name
        self.accessKey = accessKey
        secret = Self.random(
            Self.secretSizeBytes, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", &generator)
        self.grants = grants
        createdMilliseconds = Dates.nowMilliseconds()
    }

    private static func random(
        _ count: Int, _ alphabet: String, _ generator: inout SystemRandomNumberGenerator
    ) -> String {
        let alphabet = Array(alphabet.utf8)
        let bytes = (0..<count).map { _ in alphabet[Int.random(in: 0..<alphabet.count, using: &generator)] }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// What may be done with a bucket.
    func rights(on bucket: String) -> Rights {
        grants.filter { $0.bucket == Grant.everyBucket || $0.bucket.utf8.elementsEqual(bucket.utf8) }
            .reduce([]) { $0.union($1.rights) }
    }
}

/// A credential as it is kept.
struct CredentialDocument: Codable {
    let format: Int
    let name: String
    let accessKey: String
    let secret: String
    let grants: [String]
    let createdMilliseconds: UInt64

    static let format = 1
}

extension Credential {
    init?(_ document: CredentialDocument) {
        guard document.format == CredentialDocument.format else { return nil }
        name = document.name
        accessKey = document.accessKey
        secret = document.secret
        grants = document.grants.compactMap { Grant($0) }
        createdMilliseconds = document.createdMilliseconds
        guard grants.count == document.grants.count else { return nil }
    }

    var document: CredentialDocument {
        CredentialDocument(
            format: CredentialDocument.format, name: name, accessKey: accessKey, secret: secret,
            grants: grants.map(\.description), createdMilliseconds: createdMilliseconds)
    }
}
