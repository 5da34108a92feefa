// Names of files that have not all of their bytes yet.

/// What a file is called until it is finished. What is called so in any folder is what an interrupted transfer has left,
/// and no file of anybody's.
package enum TemporaryName {
    package static let prefix = ".solidus-"
    package static let suffix = ".partial"

    /// A name that nothing else has.
    package static func make() -> String {
        var random = SystemRandomNumberGenerator()
        let digits = [random.next(), random.next()].map { number in
            let text = String(number, radix: 16)
            return String(repeating: "0", count: 16 - text.count) + text
        }
        return make(digits.joined())
    }

    /// The name of something that may be gone on with, by what tells it from others.
    package static func make(_ unique: String) -> String { prefix + unique + suffix }

    package static func isTemporary(_ name: [UInt8]) -> Bool {
        name.starts(with: prefix.utf8) && name.suffix(suffix.utf8.count).elementsEqual(suffix.utf8)
    }
}
