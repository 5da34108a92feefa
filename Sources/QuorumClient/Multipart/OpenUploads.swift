// Finding uploads that nobody has finished, so that somebody can give back what they take (docs/protocol.md, Finding
// uploads).

import QuorumOperations
import QuorumProtocol

/// An upload, in parts or of one large value, of which servers have stripes that no version holds.
public struct OpenUpload: Sendable, Hashable {
    /// The object that it is to.
    public let key: ObjectKey
    /// 32 hexadecimal digits.
    public let id: String
    /// Whose it is.
    public let owner: ClientID
    /// Servers that say so.
    public let serverCount: Int
    /// What its owner is charged for it at each server; more than f servers say so much at least.
    public let chargedBytes: UInt64
    /// When a stripe of it was last staged, in milliseconds since 1970; more than f servers say that it was no earlier.
    public let lastMilliseconds: UInt64
    /// When servers give it back if nobody goes on with it.
    public let expiresMilliseconds: UInt64
}

extension ObjectClient {
    /// The uploads to an object that are not over, by rising names: those that f + 1 servers tell of.
    ///
    /// - Parameter owner: whose. Another's takes the right `admin` on the bucket.
    /// - Throws: as `get`, but `.notFound`.
    public func openUploads(to key: ObjectKey, of owner: ClientID) async throws(ClientError) -> [OpenUpload] {
        let lists = try await listHeld(key, .uploads(of: owner))
        let vouchers = parameters.quorums.vouchers
        var found: [UploadID: [UploadStatus]] = [:]
        for case .uploads(let uploads) in lists.values {
            for status in uploads { found[status.upload, default: []].append(status) }
        }
        return found.filter { $1.count >= vouchers }.sorted { $0.key < $1.key }.map { upload, statuses in
            func vouched(_ number: (UploadStatus) -> UInt64) -> UInt64 {
                statuses.map(number).sorted(by: >)[vouchers - 1]
            }
            let last = vouched(\.lastMilliseconds)
            let (expires, overflow) = last.addingReportingOverflow(parameters.limits.stagedMilliseconds)
            return OpenUpload(
                key: key, id: upload.description, owner: owner, serverCount: statuses.count,
                chargedBytes: vouched(\.chargedBytes), lastMilliseconds: last,
                expiresMilliseconds: overflow ? .max : expires)
        }
    }

    /// Gives back what servers have of an upload that no version holds, and what is noted of its parts. Whoever cannot
    /// be reached keeps it until it expires.
    ///
    /// - Parameter owner: whose it is. Another's takes the right `admin` on the bucket.
    /// - Returns: whether it was an upload that could be discarded: its name is one.
    /// - Throws: as `abort`.
    public func discardUpload(_ id: String, to key: ObjectKey, of owner: ClientID) async throws(ClientError) -> Bool {
        guard let upload = UploadID(hexadecimal: id), let named = MultipartUpload(key, id: id) else { return false }
        if owner == self.id {
            try await abort(named)
        } else {
            await announce(.discard(Discard(key: key, stager: owner, upload: upload)))
        }
        return true
    }
}
