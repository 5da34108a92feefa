// Small objects that the gateways of a cluster share: whom they serve, and what they keep beside buckets
// (docs/s3.md, Credentials).

import ErasureCode
import QuorumProtocol

/// An object that gateways share.
package struct GatewayRecord: Sendable {
    package let bytes: [UInt8]
    package let timestamp: Timestamp
}

extension ObjectClient {
    /// The record of a name; nil when there is none.
    ///
    /// - Throws: as `get`. It takes the right `admin` on every bucket, as do all of these.
    package func gatewayRecord(_ name: String) async throws(ClientError) -> GatewayRecord? {
        let key = try Self.key(ofGateways: name)
        do throws(ClientError) {
            let object = try await get(key)
            return GatewayRecord(bytes: object.value.array, timestamp: object.status.timestamp)
        } catch .notFound {
            return nil
        }
    }

    /// - Throws: as `put`.
    package func putGatewayRecord(_ name: String, _ bytes: [UInt8]) async throws(ClientError) {
        let metadata = ObjectMetadata(modifiedMilliseconds: Self.currentMilliseconds())
        _ = try await write(
            Self.key(ofGateways: name), .value(SharedBytes(bytes), metadata, salt: .random()))
    }

    /// False when there was none.
    ///
    /// - Throws: as `delete`.
    package func deleteGatewayRecord(_ name: String) async throws(ClientError) -> Bool {
        guard try await gatewayRecord(name) != nil else { return false }
        _ = try await writeTombstone(Self.key(ofGateways: name))
        return true
    }

    /// The names that begin so.
    ///
    /// - Throws: as `list`.
    package func gatewayRecords(_ prefix: String) async throws(ClientError) -> [String] {
        let whole = Array("\(ObjectKey.bucketOfGateways)/".utf8)
        var names: [String] = []
        var entries = try list(prefix: whole + Array(prefix.utf8)).makeAsyncIterator()
        while let entry = try await entries.next() {
            guard case .object(let object) = entry else { continue }
            names.append(String(decoding: object.key.bytes[whole.count...], as: UTF8.self))
        }
        return names
    }

    private static func key(ofGateways name: String) throws(ClientError) -> ObjectKey {
        do {
            return try ObjectKey(ofGateways: name)
        } catch {
            throw .invalidListing(error.description)
        }
    }
}
