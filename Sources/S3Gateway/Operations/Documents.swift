// Documents that clients send: all there and checked before anything of them is looked at.

import NIOCore

extension Gateway {
    /// The bytes of a document.
    ///
    /// - Parameters:
    ///   - needsDigest: whether it has to come with Content-MD5 or a checksum.
    ///   - checksumIsTheObjects: whether the headers' checksum is not of the document.
    func document(
        _ request: S3Request, _ body: RequestBody, needsDigest: Bool = false, checksumIsTheObjects: Bool = false
    ) async throws -> [UInt8] {
        var headers = request.headers
        if checksumIsTheObjects {
            headers = RequestHeaders(headers.all.filter { ChecksumAlgorithm(header: $0.name) == nil })
        }
        let plan = try PayloadPlan(headers, request.signature, contentLength: body.contentLength)
        guard !needsDigest || plan.md5 != nil || plan.checksum != nil else {
            throw S3Error(.invalidRequest, "Missing required header for this request: Content-MD5")
        }
        let tooLarge = S3Error(
            .entityTooLarge, "Your document exceeds the maximum allowed size",
            [("MaxSizeAllowed", "\(Self.documentSizeBytesMax)")])
        if let length = plan.lengthBytes, length > UInt64(Self.documentSizeBytesMax) { throw tooLarge }
        let payload = CheckedPayload(plan)
        var bytes: [UInt8] = []
        while var buffer = try await body.next() {
            while let piece = try payload.take(&buffer) {
                guard bytes.count + piece.readableBytes <= Self.documentSizeBytesMax else { throw tooLarge }
                bytes.append(contentsOf: piece.readableBytesView)
            }
        }
        _ = try payload.finish()
        return bytes
    }
}

/// Owners as documents name them: the gateway is all that there is.
extension XMLWriter {
    mutating func owner(_ name: String = "Owner", _ id: String) {
        element(name) { xml in
            xml.text("ID", id)
            xml.text("DisplayName", "solidus")
        }
    }
}
