// What a form's signer allows whoever has the form (POST policies of S3).

import Foundation

struct PostPolicy: Sendable {
    private enum Condition: Sendable {
        case equal(String, String)
        case beginning(String, String)
    }

    private let conditions: [Condition]
    private let expires: Int64
    /// How long the file may be, in bytes.
    let lengths: ClosedRange<UInt64>?

    /// - Parameter text: in base 64, as it is signed.
    init(_ text: String) throws(S3Error) {
        guard let data = Data(base64Encoded: text),
            let root = try? JSONSerialization.jsonObject(with: data) as? [String: Any],
            let expiration = root["expiration"] as? String, let expires = Dates.parseISO(expiration),
            let listed = root["conditions"] as? [Any]
        else { throw Self.invalid("Invalid Policy: it is not JSON with an expiration and conditions.") }
        self.expires = expires
        var conditions: [Condition] = []
        var lengths: ClosedRange<UInt64>?
        for item in listed {
            if let object = item as? [String: Any] {
                for (name, value) in object {
                    guard let value = value as? String else {
                        throw Self.invalid("Invalid Policy: Invalid Simple-Condition.")
                    }
                    conditions.append(.equal(name.lowercased(), value))
                }
            } else if let list = item as? [Any], list.count == 3, let kind = list[0] as? String {
                if kind.lowercased() == "content-length-range" {
                    guard let least = Self.number(list[1]), let most = Self.number(list[2]), least <= most else {
                        throw Self.invalid("Invalid Policy: Invalid content-length-range.")
                    }
                    // Of several each has to hold.
                    let (lower, upper) = (max(least, lengths?.lowerBound ?? 0), min(most, lengths?.upperBound ?? .max))
                    guard lower <= upper else {
                        throw Self.invalid("Invalid Policy: Invalid content-length-range.")
                    }
                    lengths = lower...upper
                    continue
                }
                guard let name = list[1] as? String, name.hasPrefix("$"), let value = list[2] as? String else {
                    throw Self.invalid("Invalid Policy: Invalid Condition.")
                }
                let field = String(name.dropFirst()).lowercased()
                switch kind.lowercased() {
                case "eq": conditions.append(.equal(field, value))
                case "starts-with": conditions.append(.beginning(field, value))
                default: throw Self.denied("Invalid Policy: '\(kind)' is no condition.")
                }
            } else {
                throw Self.invalid("Invalid Policy: Invalid Condition.")
            }
        }
        self.conditions = conditions
        self.lengths = lengths
    }

    /// Texts are alike when their bytes are: what Swift holds for one text may be two names of objects.
    ///
    /// - Parameter fields: of the form, by lower-case names, with its bucket.
    func check(_ fields: [String: String], now: Int64) throws(S3Error) {
        guard now < expires else { throw Self.denied("Invalid according to Policy: Policy expired.") }
        var covered: Set<[UInt8]> = []
        for condition in conditions {
            switch condition {
            case .equal(let name, let value):
                covered.insert(Array(name.utf8))
                guard fields[name, default: ""].utf8.elementsEqual(value.utf8) else {
                    throw Self.failed(name, "eq", value)
                }
            case .beginning(let name, let value):
                covered.insert(Array(name.utf8))
                guard fields[name, default: ""].utf8.starts(with: value.utf8) else {
                    throw Self.failed(name, "starts-with", value)
                }
            }
        }
        let free: Set<String> = ["policy", "x-amz-signature", "signature", "awsaccesskeyid", "file"]
        for name in fields.keys.sorted() where !free.contains(name) && !name.hasPrefix("x-ignore-") {
            guard covered.contains(Array(name.utf8)) else {
                throw Self.denied("Invalid according to Policy: Extra input fields: \(name)")
            }
        }
    }

    private static func number(_ value: Any) -> UInt64? {
        if let text = value as? String { return UInt64(text) }
        guard let number = value as? NSNumber else { return nil }
        return UInt64(exactly: number.doubleValue)
    }

    private static func invalid(_ message: String) -> S3Error { S3Error(.invalidPolicyDocument, message) }
    private static func denied(_ message: String) -> S3Error { S3Error(.accessDenied, message) }

    private static func failed(_ name: String, _ kind: String, _ value: String) -> S3Error {
        denied("Invalid according to Policy: Policy Condition failed: [\"\(kind)\", \"$\(name)\", \"\(value)\"]")
    }
}
