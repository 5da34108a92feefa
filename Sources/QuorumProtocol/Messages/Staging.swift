// What large values take beside the other messages: stripes go ahead of PREPARE, and are fetched one by one
// (docs/protocol.md, Large values).

import ErasureCode
import Fingerprint

/// "Store your fragment of this stripe, for a version to come." The sender is the attempt's stager.
package final class Stage: Equatable, Sendable {
    package let key: ObjectKey
    package let attempt: AttemptName
    /// The receiver's among the object's.
    package let position: Position
    /// Of the attempt's stripes but the last; the same in each STAGE of the attempt.
    package let stripeSizeBytes: UInt32
    /// The stripe's number in its part.
    package let stripe: UInt32
    package let crossChecksum: CrossChecksum
    /// The receiver's own fragment; in the mode `full` the stripe's block.
    package let fragment: SharedBytes
    /// Whether the receiver lacks it of a version that others have: then it is none that comes late.
    package let fills: Bool

    package init(
        key: ObjectKey, attempt: AttemptName, position: Position, stripeSizeBytes: UInt32, stripe: UInt32,
        crossChecksum: CrossChecksum, fragment: SharedBytes, fills: Bool = false
    ) {
        self.key = key
        self.attempt = attempt
        self.position = position
        self.stripeSizeBytes = stripeSizeBytes
        self.stripe = stripe
        self.crossChecksum = crossChecksum
        self.fragment = fragment
        self.fills = fills
    }

    package static func == (left: Stage, right: Stage) -> Bool {
        left === right
            || left.key == right.key && left.attempt == right.attempt && left.position == right.position
                && left.stripeSizeBytes == right.stripeSizeBytes && left.stripe == right.stripe
                && left.crossChecksum == right.crossChecksum && left.fragment == right.fragment
                && left.fills == right.fills
    }
}

/// "Nothing more is needed of what this client staged to this upload", or of one attempt at one of its parts. What
/// versions hold stays as long as these do. The sender is the stager, or administers the bucket.
package final class Discard: Equatable, Sendable {
    /// An attempt among those of an upload.
    package struct Attempt: Hashable, Sendable {
        package let part: UInt16
        package let number: UInt32

        package init(part: UInt16, number: UInt32) {
            self.part = part
            self.number = number
        }
    }

    package let key: ObjectKey
    package let stager: ClientID
    package let upload: UploadID
    /// Nil for all of the upload.
    package let attempt: Attempt?

    package init(key: ObjectKey, stager: ClientID, upload: UploadID, attempt: Attempt? = nil) {
        self.key = key
        self.stager = stager
        self.upload = upload
        self.attempt = attempt
    }

    /// Whether the attempt is one that is given back.
    func covers(_ name: AttemptName) -> Bool {
        name.stager == stager && name.upload == upload
            && attempt.map { $0.part == name.part && $0.number == name.number } ?? true
    }

    package static func == (left: Discard, right: Discard) -> Bool {
        left === right
            || left.key == right.key && left.stager == right.stager && left.upload == right.upload
                && left.attempt == right.attempt
    }
}

/// "Send your fragment of this stripe, and the page that names it", each only if it is wanted; and keep a superseded
/// version a while longer, since it is being read.
package final class Fetch: Equatable, Sendable {
    /// A run of stripes whose entries are wanted as a page.
    package struct PageRange: Hashable, Sendable {
        package let first: UInt32
        /// 1 to 256.
        package let count: UInt16

        package init(first: UInt32, count: UInt16) {
            self.first = first
            self.count = count
        }
    }

    package let key: ObjectKey
    package let attempt: AttemptName
    package let stripe: UInt32?
    package let page: PageRange?
    /// The version that is being read.
    package let pin: Timestamp?
    /// Repeated in the answer, for an operation that fetches several stripes: late answers are none to the next one.
    package let tag: UInt64

    package init(
        key: ObjectKey, attempt: AttemptName, stripe: UInt32? = nil, page: PageRange? = nil, pin: Timestamp? = nil,
        tag: UInt64 = 0
    ) {
        self.key = key
        self.attempt = attempt
        self.stripe = stripe
        self.page = page
        self.pin = pin
        self.tag = tag
    }

    package static func == (left: Fetch, right: Fetch) -> Bool {
        left === right
            || left.key == right.key && left.attempt == right.attempt && left.stripe == right.stripe
                && left.page == right.page && left.pin == right.pin && left.tag == right.tag
    }
}

/// What a server has of what FETCH asked for; nil is what it has not, or was not asked for.
package struct FetchedParts: Equatable, Sendable {
    package let position: Position
    package let fragment: SharedBytes?
    /// Canonical bytes of a `StripePage`.
    package let page: [UInt8]?
    /// That of the request.
    package let tag: UInt64

    package init(position: Position, fragment: SharedBytes?, page: [UInt8]?, tag: UInt64 = 0) {
        self.position = position
        self.fragment = fragment
        self.page = page
        self.tag = tag
    }
}
