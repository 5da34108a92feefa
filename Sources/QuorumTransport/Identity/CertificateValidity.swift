// The validity period of a certificate, read without trusting its bytes.

import Foundation
import X509

/// The period in which a certificate may be used, in seconds since 1970-01-01 UTC, both ends inclusive.
package struct CertificateValidity: Hashable, Sendable {
    /// First second at which the certificate is valid.
    package let notBefore: Int64
    /// Last second at which the certificate is valid.
    package let notAfter: Int64

    package init(notBefore: Int64, notAfter: Int64) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// The period written in a DER certificate; nil when the bytes are no certificate.
    ///
    /// The bytes may come from a peer. They go through the parser of swift-certificates, which throws on nonsense; the
    /// accessors of a TLS library's certificate object may trap on a malformed date.
    package init?(derCertificate: [UInt8]) {
        guard let certificate = try? Certificate(derEncoded: derCertificate) else { return nil }
        self.init(of: certificate)
    }

    init(of certificate: Certificate) {
        notBefore = Self.seconds(certificate.notValidBefore)
        notAfter = Self.seconds(certificate.notValidAfter)
    }

    /// How long before its end somebody has to be told, in seconds: 30 days.
    package static let warningSeconds: Int64 = 30 * 86400

    /// How many whole days are left at second `now`; negative when it has ended.
    package func daysLeft(now: Int64) -> Int64 {
        let (left, overflow) = notAfter.subtractingReportingOverflow(now)
        guard !overflow else { return notAfter > now ? .max : .min }
        return left >= 0 ? left / 86400 : -1 - (-1 - left) / 86400
    }

    /// What to tell people in the last 30 days, and afterwards; nil before.
    package func warning(now: Int64) -> String? {
        let (begin, overflow) = notAfter.subtractingReportingOverflow(Self.warningSeconds)
        guard overflow || now > begin else { return nil }
        let end = Self.text(second: notAfter)
        guard now <= notAfter else {
            return "the certificate expired at \(end): connections that are there go on, and no new one is made"
        }
        return "the certificate expires at \(end), in \(daysLeft(now: now)) days: no new connection is made then"
    }

    /// The wall clock's current second.
    package static func currentSecond() -> Int64 {
        seconds(Date())
    }

    /// The second as ISO 8601 text for people. Any value may be asked for, since a peer may have sent it; those outside
    /// the years 1970 to 9999 are shown as a number.
    package static func text(second: Int64) -> String {
        guard (0...253_402_300_799).contains(second) else { return "second \(second) of the Unix epoch" }
        return Date(timeIntervalSince1970: Double(second)).formatted(.iso8601)
    }

    private static func seconds(_ date: Date) -> Int64 {
        Int64(exactly: date.timeIntervalSince1970.rounded(.down)) ?? 0
    }
}
