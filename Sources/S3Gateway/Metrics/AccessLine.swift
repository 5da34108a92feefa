// A line of the access log: one object of JSON for a request that was answered.

import NIOHTTP1
import QuorumProtocol

struct AccessLine: Sendable {
    private static let targetSizeMax = 2048

    let text: String

    init(_ head: HTTPRequestHead, _ context: RequestContext, _ response: Response, _ end: AnswerEnd) {
        let duration = end.duration.components
        let microseconds = duration.seconds * 1_000_000 + duration.attoseconds / 1_000_000_000_000
        let fields: [(name: String, value: String)] = [
            ("time", Self.quoted(Dates.iso(milliseconds: Dates.nowMilliseconds()))), ("id", Self.quoted(context.id)),
            ("peer", Self.quoted(context.peer)), ("method", Self.quoted(head.method.rawValue)),
            ("target", Self.quoted(Self.withoutSignature(head.uri))), ("status", "\(response.status.code)"),
            ("error", response.errorCode.map(Self.quoted) ?? "null"), ("received_bytes", "\(end.receivedBytes)"),
            ("sent_bytes", "\(end.sentBytes)"), ("microseconds", "\(microseconds)"), ("cut", "\(end.isCut)"),
            (
                "user_agent",
                head.headers.first(name: "user-agent").map { Self.quoted(String($0.prefix(256))) } ?? "null"
            ),
        ]
        text = "{" + fields.map { "\"\($0.name)\":\($0.value)" }.joined(separator: ",") + "}"
    }

    /// A target without what it could be used again by.
    static func withoutSignature(_ uri: String) -> String {
        let shown = String(uri.prefix(targetSizeMax))
        guard let range = shown.firstRange(of: "X-Amz-Signature=") else { return shown }
        let end = shown[range.upperBound...].firstIndex(of: "&") ?? shown.endIndex
        return shown[..<range.upperBound] + "..." + shown[end...]
    }

    private static func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
