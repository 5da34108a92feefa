// Uploads that can be gone on with.

import QuorumProtocol

/// What names an upload of a large value, so that whoever knows it can go on with it: to be kept, as text, until it is
/// over. Its stripes wait at the servers for seven days after the last one.
public struct ResumableUpload: Hashable, Sendable, LosslessStringConvertible {
    let upload: UploadID
    let stripeSizeBytes: UInt32

    init(_ upload: UploadID, stripeSizeBytes: UInt32) {
        self.upload = upload
        self.stripeSizeBytes = stripeSizeBytes
    }

    /// UPLOAD:STRIPE, hexadecimal and decimal.
    public init?(_ description: String) {
        let parts = description.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let upload = UploadID(hexadecimal: String(parts[0])), let size = UInt32(parts[1]),
            size > 0
        else { return nil }
        self.init(upload, stripeSizeBytes: size)
    }

    public var description: String { "\(upload):\(stripeSizeBytes)" }
}

extension ObjectClient {
    /// A new upload, for `put(_:lengthBytes:...)`.
    ///
    /// - Parameter lengthBytes: what the source has, if that is known.
    public func newUpload(lengthBytes: UInt64?) -> ResumableUpload {
        ResumableUpload(.random(), stripeSizeBytes: stripeSizeBytes(for: lengthBytes))
    }

    /// Gives back what is staged to an upload that nobody will go on with. Whoever cannot be reached keeps it until it
    /// expires.
    public func discard(_ upload: ResumableUpload, of key: ObjectKey) async {
        await announce(.discard(Discard(key: key, stager: id, upload: upload.upload)))
    }

    /// What the upload has stored, if the object's version is its; nil if it is not, or not yet. Which servers have it
    /// is not asked.
    public func stored(_ upload: ResumableUpload, as key: ObjectKey) async throws(ClientError) -> PutResult? {
        let outcome = try await find(key, wantsValue: false)
        guard case .version(let timestamp, let sealed, _) = outcome.found,
            let attempt = sealed.descriptor.staged?.parts[0].attempt, attempt.upload == upload.upload,
            attempt.stager == id
        else { return nil }
        return PutResult(
            key: key, timestamp: timestamp, rounds: outcome.rounds, durableAt: [], observations: outcome.observations)
    }
}
