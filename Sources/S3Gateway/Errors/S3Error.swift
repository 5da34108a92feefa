// Errors as clients get them.

import NIOHTTP1

/// Why a request was not done.
struct S3Error: Error, Sendable {
    let code: S3ErrorCode
    let message: String
    /// Further elements of the error's document, in order.
    var details: [(name: String, value: String)]
    /// Further headers of the response.
    var headers: [(name: String, value: String)] = []

    init(_ code: S3ErrorCode, _ message: String, _ details: [(name: String, value: String)] = []) {
        self.code = code
        self.message = message
        self.details = details
    }

    /// The document, with what identifies the request.
    func document(resource: String, requestID: String) -> String {
        var xml = XMLWriter()
        xml.element("Error") { xml in
            xml.text("Code", code.rawValue)
            xml.text("Message", message)
            for (name, value) in details { xml.text(name, value) }
            xml.text("Resource", resource)
            xml.text("RequestId", requestID)
            xml.text("HostId", requestID)
        }
        return xml.document
    }

    static func invalidArgument(_ message: String, name: String, value: String) -> S3Error {
        S3Error(.invalidArgument, message, [("ArgumentName", name), ("ArgumentValue", value)])
    }

    static func notImplemented(_ what: String) -> S3Error {
        S3Error(.notImplemented, "\(what) is not implemented by this gateway.")
    }

    static func noSuchKey(_ key: String) -> S3Error {
        S3Error(.noSuchKey, "The specified key does not exist.", [("Key", key)])
    }

    static func noSuchBucket(_ bucket: String) -> S3Error {
        S3Error(.noSuchBucket, "The specified bucket does not exist", [("BucketName", bucket)])
    }

    static func noSuchUpload(_ id: String) -> S3Error {
        S3Error(
            .noSuchUpload,
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
                + "completed.", [("UploadId", id)])
    }

    static let accessDenied = S3Error(.accessDenied, "Access Denied")

    static let malformedXML = S3Error(
        .malformedXML, "The XML you provided was not well-formed or did not validate against our published schema")

    static func preconditionFailed(_ condition: String) -> S3Error {
        S3Error(
            .preconditionFailed, "At least one of the pre-conditions you specified did not hold",
            [("Condition", condition)])
    }
}
