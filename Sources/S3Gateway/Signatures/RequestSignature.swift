// What a request says of who signed it: in its header Authorization, or in its query.

/// A signature of version 4 as a request carries it.
struct RequestSignature: Sendable {
    static let algorithm = "AWS4-HMAC-SHA256"
    /// The longest time for which a request may be presigned, in seconds.
    static let expirySecondsMax: Int64 = 604_800

    enum Place: Equatable, Sendable {
        case header
        /// Good for so many seconds.
        case query(expirySeconds: Int64)
    }

    let place: Place
    let accessKey: String
    let scope: CredentialScope
    /// Lower-case names, in the signer's order.
    let signedHeaders: [String]
    /// 32 bytes.
    let signature: [UInt8]
    /// The time of signing as it was signed, `20130524T000000Z`.
    let date: String
    /// The same in seconds since 1970.
    let dateSeconds: Int64

    /// Nil for a request that nobody signed.
    ///
    /// - Throws: what is wrong with what is there.
    static func find(_ target: RequestTarget, _ headers: RequestHeaders) throws(S3Error) -> RequestSignature? {
        let inQuery = target.has("X-Amz-Algorithm") || target.has("X-Amz-Signature") || target.has("X-Amz-Credential")
        guard let authorization = headers["authorization"] else {
            if inQuery { return try RequestSignature(query: target) }
            guard !target.has("AWSAccessKeyId") && !target.has("Signature") else { throw unsupportedMechanism }
            return nil
        }
        guard !inQuery else {
            throw .invalidArgument(
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                    + "parameter or the Authorization header should be specified",
                name: "Authorization", value: authorization)
        }
        return try RequestSignature(authorization: authorization, headers)
    }

    private init(authorization: String, _ headers: RequestHeaders) throws(S3Error) {
        guard let space = authorization.firstIndex(of: " ") else { throw Self.malformedHeader("is malformed") }
        let scheme = authorization[..<space]
        guard scheme == Self.algorithm else {
            if scheme == "AWS" || scheme.hasPrefix("AWS4-") { throw Self.unsupportedMechanism }
            throw .invalidArgument(
                "Unsupported Authorization Type", name: "Authorization", value: authorization)
        }
        var fields: [String: String] = [:]
        for field in authorization[space...].split(separator: ",") {
            let field = field.drop { $0 == " " }
            guard let equals = field.firstIndex(of: "=") else { throw Self.malformedHeader("is malformed") }
            fields[String(field[..<equals])] = String(field[field.index(after: equals)...].prefix { $0 != " " })
        }
        guard let credential = fields["Credential"], let signed = fields["SignedHeaders"],
            let signature = fields["Signature"]
        else { throw Self.malformedHeader("requires the parameters Credential, SignedHeaders and Signature") }
        place = .header
        (accessKey, scope) = try Self.credential(credential) { Self.malformedHeader($0) }
        signedHeaders = try Self.signedHeaders(signed) { Self.malformedHeader($0) }
        self.signature = try Self.signature(signature)
        if let date = headers["x-amz-date"] {
            guard let seconds = Dates.parseBasic(date) else { throw Self.noDate }
            (self.date, dateSeconds) = (date, seconds)
        } else if let date = headers["date"] {
            guard let seconds = Dates.parseBasic(date) ?? Dates.parseHTTP(date) else { throw Self.noDate }
            (self.date, dateSeconds) = (Dates.basic(seconds), seconds)
        } else {
            throw Self.noDate
        }
        guard date.hasPrefix(scope.day) else {
            throw Self.malformedHeader(
                "is malformed; the credential's date '\(scope.day)' is not that of the request, '\(date.prefix(8))'")
        }
    }

    private init(query: RequestTarget) throws(S3Error) {
        guard let algorithm = query["X-Amz-Algorithm"] else {
            throw Self.malformedQuery(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                    + "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
        }
        guard algorithm == Self.algorithm else {
            throw Self.malformedQuery("X-Amz-Algorithm only supports \"\(Self.algorithm)\"")
        }
        guard let credential = query["X-Amz-Credential"], let signature = query["X-Amz-Signature"],
            let date = query["X-Amz-Date"], let signed = query["X-Amz-SignedHeaders"],
            let expires = query["X-Amz-Expires"]
        else {
            throw Self.malformedQuery(
                "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
                    + "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
        }
        (accessKey, scope) = try Self.credential(credential) {
            Self.malformedQuery("Error parsing the X-Amz-Credential parameter; it \($0)")
        }
        signedHeaders = try Self.signedHeaders(signed) {
            Self.malformedQuery("Error parsing the X-Amz-SignedHeaders parameter; it \($0)")
        }
        self.signature = try Self.signature(signature)
        guard let seconds = Dates.parseBasic(date) else {
            throw Self.malformedQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
        }
        (self.date, dateSeconds) = (date, seconds)
        guard date.hasPrefix(scope.day) else {
            throw Self.malformedQuery(
                "Invalid credential date \"\(scope.day)\". This date is not the same as X-Amz-Date: "
                    + "\"\(date.prefix(8))\".")
        }
        guard let expiry = Int64(expires) else { throw Self.malformedQuery("X-Amz-Expires should be a number") }
        guard expiry >= 0 else { throw Self.malformedQuery("X-Amz-Expires must be non-negative") }
        guard expiry <= Self.expirySecondsMax else {
            throw Self.malformedQuery(
                "X-Amz-Expires must be less than a week (in seconds); that is, the given "
                    + "X-Amz-Expires must be less than \(Self.expirySecondsMax) seconds")
        }
        place = .query(expirySeconds: expiry)
    }

    private static func credential(
        _ text: String, _ error: (String) -> S3Error
    ) throws(S3Error) -> (String, CredentialScope) {
        // An access key of ours has no slash; what is before the last four parts is the key all the same.
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count >= 5, parts.last == "aws4_request" else {
            throw error(
                "is malformed; the Credential is mal-formed; expecting "
                    + "\"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
        }
        let place = parts.count - 4
        let scope = CredentialScope(day: parts[place], region: parts[place + 1], service: parts[place + 2])
        guard scope.service == "s3" else {
            throw error("is malformed; incorrect service \"\(scope.service)\". This endpoint belongs to \"s3\".")
        }
        return (parts[..<place].joined(separator: "/"), scope)
    }

    /// The credential that a form names.
    static func formCredential(_ text: String) throws(S3Error) -> (accessKey: String, scope: CredentialScope) {
        let (accessKey, scope) = try credential(text) { what in
            .invalidArgument("The credential \(what)", name: "X-Amz-Credential", value: text)
        }
        return (accessKey, scope)
    }

    private static func signedHeaders(_ text: String, _ error: (String) -> S3Error) throws(S3Error) -> [String] {
        let names = text.split(separator: ";", omittingEmptySubsequences: false).map { $0.lowercased() }
        guard names.count <= 256, names.allSatisfy({ !$0.isEmpty }) else { throw error("is malformed") }
        return names
    }

    private static func signature(_ text: String) throws(S3Error) -> [UInt8] {
        guard let bytes = Hexadecimals.bytes(text), bytes.count == 32 else { throw mismatch }
        return bytes
    }

    private static func malformedHeader(_ what: String) -> S3Error {
        S3Error(.authorizationHeaderMalformed, "The authorization header \(what)")
    }

    private static func malformedQuery(_ what: String) -> S3Error {
        S3Error(.authorizationQueryParametersError, what)
    }

    private static var noDate: S3Error {
        S3Error(.accessDenied, "AWS authentication requires a valid Date or x-amz-date header")
    }

    private static var unsupportedMechanism: S3Error {
        S3Error(
            .invalidRequest,
            "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256.")
    }

    static var mismatch: S3Error {
        S3Error(
            .signatureDoesNotMatch,
            "The request signature we calculated does not match the signature you provided. Check your key and signing "
                + "method.")
    }
}
