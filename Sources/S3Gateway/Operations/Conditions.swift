// If-Match and its like (RFC 9110, 13), in the order in which S3 takes them.

import QuorumProtocol

/// The conditions of a request on an object.
struct Conditions: Sendable {
    let ifMatch: String?
    let ifNoneMatch: String?
    let ifModifiedSince: Int64?
    let ifUnmodifiedSince: Int64?
    /// What a range has to be of: a tag, or a time.
    let ifRange: String?

    /// - Parameter prefix: what stands before the names, as of the conditions on a copy's source.
    init(_ headers: RequestHeaders, prefix: String = "") {
        ifMatch = headers[prefix + "if-match"]
        ifNoneMatch = headers[prefix + "if-none-match"]
        ifModifiedSince = headers[prefix + "if-modified-since"].flatMap(Dates.parseHTTP)
        ifUnmodifiedSince = headers[prefix + "if-unmodified-since"].flatMap(Dates.parseHTTP)
        ifRange = headers[prefix + "if-range"]
    }

    enum Verdict: Equatable, Sendable {
        case go
        case notModified
        /// The name of the header that does not hold.
        case failed(String)
    }

    /// For a read.
    ///
    /// - Parameter modifiedMilliseconds: since 1970.
    func judge(etag: String, modifiedMilliseconds: UInt64) -> Verdict {
        let modified = Int64(clamping: modifiedMilliseconds / 1000)
        if let ifMatch {
            if !Self.names(ifMatch, etag, weakly: false) { return .failed("If-Match") }
        } else if let ifUnmodifiedSince, modified > ifUnmodifiedSince {
            return .failed("If-Unmodified-Since")
        }
        if let ifNoneMatch {
            if Self.names(ifNoneMatch, etag, weakly: true) { return .notModified }
        } else if let ifModifiedSince, modified <= ifModifiedSince {
            return .notModified
        }
        return .go
    }

    /// Whether a range is of the object that it is asked of; else the whole object is answered (RFC 9110, 13.1.5). A date
    /// never is: two versions may be of one second, and what `solidus put` stored has its file's.
    func hasRange(etag: String) -> Bool {
        guard let ifRange else { return true }
        return ifRange != "*" && !ifRange.contains(",") && Self.names(ifRange, etag, weakly: false)
    }

    /// Whether a list of tags has this one. A tag without quotes is taken as if it had them.
    ///
    /// - Parameter weakly: whether a weak tag is as good as a strong one; else it is none.
    static func names(_ list: String, _ etag: String, weakly: Bool) -> Bool {
        for item in list.split(separator: ",") {
            var item = item.drop { $0 == " " }
            while item.last == " " { item.removeLast() }
            if item == "*" { return true }
            if item.hasPrefix("W/") {
                guard weakly else { continue }
                item = item.dropFirst(2)
            }
            if item.count >= 2, item.first == "\"", item.last == "\"" { item = item.dropFirst().dropLast() }
            if item.utf8.elementsEqual(etag.utf8) { return true }
        }
        return false
    }
}

/// The conditions of a write.
struct WriteConditions: Sendable {
    /// A tag that the object must have.
    let ifMatch: String?
    /// Whether there must be no object.
    let mustBeNew: Bool

    var isEmpty: Bool { ifMatch == nil && !mustBeNew }

    init(_ headers: RequestHeaders) throws(S3Error) {
        ifMatch = headers["if-match"]
        if let ifNoneMatch = headers["if-none-match"] {
            guard ifNoneMatch == "*" else {
                throw .notImplemented("If-None-Match of a write with another value than '*'")
            }
            mustBeNew = true
        } else {
            mustBeNew = false
        }
        if ifMatch != nil && mustBeNew {
            throw .notImplemented("If-Match and If-None-Match in one write")
        }
    }

    /// - Parameter etag: of the object; nil when there is none.
    func check(_ etag: String?, key: String) throws(S3Error) {
        if mustBeNew, etag != nil { throw .preconditionFailed("If-None-Match") }
        if let ifMatch {
            guard let etag else { throw .noSuchKey(key) }
            guard Conditions.names(ifMatch, etag, weakly: false) else { throw .preconditionFailed("If-Match") }
        }
    }
}
