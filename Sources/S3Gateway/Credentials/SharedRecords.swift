// What gateways of a cluster share, in objects that only who has their key can read or make. A record is sealed together
// with its name, so that none can be put in another one's place; that it is deleted, or an older one of its own, can
// whoever administers the cluster bring about.

import Crypto
import Foundation
import QuorumClient
import QuorumProtocol

struct SharedRecords: Sendable {
    private let client: ObjectClient
    private let key: SymmetricKey

    /// - Parameter key: 32 bytes.
    init(_ client: ObjectClient, key: [UInt8]) {
        self.client = client
        self.key = SymmetricKey(data: key)
    }

    /// Nil when there is none, or one that this key does not open.
    func read<Value: Decodable>(_ name: String, as type: Value.Type) async throws(ClientError) -> Value? {
        guard let record = try await client.gatewayRecord(name) else { return nil }
        guard let box = try? AES.GCM.SealedBox(combined: record.bytes),
            let bytes = try? AES.GCM.open(box, using: key, authenticating: Array(name.utf8))
        else { return nil }
        return try? JSONDecoder().decode(type, from: bytes)
    }

    func write(_ name: String, _ value: some Encodable) async throws(ClientError) {
        guard let bytes = try? JSONEncoder().encode(value),
            let box = try? AES.GCM.seal(bytes, using: key, authenticating: Array(name.utf8)),
            let combined = box.combined
        else { preconditionFailure("a record that cannot be sealed") }
        try await client.putGatewayRecord(name, Array(combined))
    }

    /// False when there was none.
    func delete(_ name: String) async throws(ClientError) -> Bool { try await client.deleteGatewayRecord(name) }

    func names(beginningWith prefix: String) async throws(ClientError) -> [String] {
        try await client.gatewayRecords(prefix)
    }
}

/// The access keys of a cluster.
public struct CredentialRecords: Sendable {
    private static let prefix = "keys/"
    private let records: SharedRecords
    private let accessKeys: AccessKeys

    /// - Parameter key: that all gateways of the cluster have.
    package init(_ client: ObjectClient, key: [UInt8]) {
        records = SharedRecords(client, key: key)
        accessKeys = AccessKeys(sharedKey: key)
    }

    /// A new one, which is not stored yet.
    ///
    /// - Throws: `.invalidCredential` for a name that is none.
    public func make(name: String, grants: [Grant]) throws(GatewayError) -> Credential {
        try Credential(name: name, grants: grants, accessKey: accessKeys.make())
    }

    /// Whether a gateway of this cluster made it.
    func isGenuine(_ accessKey: String) -> Bool { accessKeys.isGenuine(accessKey) }

    /// Nil when there is none of this name.
    func credential(_ accessKey: String) async throws(ClientError) -> Credential? {
        let document = try await records.read(Self.prefix + accessKey, as: CredentialDocument.self)
        guard let credential = document.flatMap(Credential.init), credential.accessKey == accessKey else { return nil }
        return credential
    }

    public func add(_ credential: Credential) async throws(ClientError) {
        try await records.write(Self.prefix + credential.accessKey, credential.document)
    }

    /// - Throws: `GatewayError.noSuchCredential`; as `ObjectClient.delete`.
    public func remove(_ accessKey: String) async throws {
        guard AccessKeys.isWellFormed(accessKey), try await records.delete(Self.prefix + accessKey) else {
            throw GatewayError.noSuchCredential(accessKey)
        }
    }

    /// All of them, by their access keys.
    public func all() async throws(ClientError) -> [Credential] {
        var credentials: [Credential] = []
        for name in try await records.names(beginningWith: Self.prefix) {
            if let credential = try await credential(String(name.dropFirst(Self.prefix.count))) {
                credentials.append(credential)
            }
        }
        return credentials
    }
}
