// Keys, certificates and their files.

import Foundation
import NIOSSL
import QuorumTransport
import Testing

@Suite("Identity")
final class IdentityTests {
    private let directory: URL

    init() throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "identity-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: directory) }

    private func write(_ text: String, _ name: String, mode: Int = 0o600) throws -> String {
        let path = directory.appending(path: name).path
        try Data(text.utf8).write(to: URL(filePath: path))
        try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
        return path
    }

    @Test("A generated identity loads from its two files under the pin it was made with")
    func roundTrip() throws {
        let made = try TestIdentity("node").generated
        let key = try write(made.privateKeyPEM, "a.key")
        let certificate = try write(made.certificatePEM, "a.crt")
        let loaded = try TransportIdentity(privateKeyPath: key, certificatePath: certificate)
        #expect(loaded.pin == made.pin)
        #expect(CertificatePin(hex: loaded.pin.description) == loaded.pin)
        #expect(CertificatePin(hex: loaded.pin.description.uppercased()) == loaded.pin)
        #expect(CertificatePin(bytes: loaded.pin.bytes) == loaded.pin)
    }

    @Test("A private key that others may read or change is refused, with what to do", arguments: [0o644, 0o640, 0o602])
    func openPermissions(_ mode: Int) throws {
        let made = try TestIdentity("node").generated
        let key = try write(made.privateKeyPEM, "a.key", mode: mode)
        let certificate = try write(made.certificatePEM, "a.crt")
        let error = #expect(throws: IdentityError.keyOpenToOthers(path: key, mode: UInt32(mode))) {
            try TransportIdentity(privateKeyPath: key, certificatePath: certificate)
        }
        #expect(error?.description.contains("chmod 600 \(key)") == true)
    }

    @Test("A missing file is named")
    func missing() throws {
        let made = try TestIdentity("node").generated
        let certificate = try write(made.certificatePEM, "a.crt")
        #expect(throws: IdentityError.fileMissing(path: "/nonexistent/a.key")) {
            try TransportIdentity(privateKeyPath: "/nonexistent/a.key", certificatePath: certificate)
        }
    }

    @Test("A directory in the place of a file is unreadable")
    func directoryAsFile() throws {
        let path = directory.path
        #expect(throws: IdentityError.fileUnreadable(path: path, reason: "not a regular file")) {
            try TransportIdentity(privateKeyPath: path, certificatePath: path)
        }
    }

    @Test("A file that is not PEM is named with what it should hold", arguments: ["", "hello", "\u{0}\u{1}\u{ff}"])
    func notPEM(text: String) throws {
        let made = try TestIdentity("node").generated
        let good = try write(made.certificatePEM, "a.crt")
        let goodKey = try write(made.privateKeyPEM, "a.key")
        let bad = try write(text, "bad.pem")
        #expect(throws: IdentityError.notPEM(path: bad, expected: .certificate)) {
            try TransportIdentity(privateKeyPath: goodKey, certificatePath: bad)
        }
        #expect(throws: IdentityError.notPEM(path: bad, expected: .privateKey)) {
            try TransportIdentity(privateKeyPath: bad, certificatePath: good)
        }
    }

    @Test("A key of another certificate is refused")
    func mismatch() throws {
        let key = try write(try TestIdentity("a").generated.privateKeyPEM, "a.key")
        let certificate = try write(try TestIdentity("b").generated.certificatePEM, "b.crt")
        #expect(throws: IdentityError.keyDoesNotMatchCertificate(keyPath: key, certificatePath: certificate)) {
            try TransportIdentity(privateKeyPath: key, certificatePath: certificate)
        }
    }

    @Test("A certificate outside its validity period is refused with the date")
    func validity() throws {
        let made = try TestIdentity("node")
        let validity = made.identity.validity
        #expect(throws: IdentityError.expired(path: "certificate", notAfter: validity.notAfter)) {
            try TransportIdentity(
                privateKeyPEM: made.generated.privateKeyPEM, certificatePEM: made.generated.certificatePEM,
                now: validity.notAfter + 1)
        }
        #expect(throws: IdentityError.notYetValid(path: "certificate", notBefore: validity.notBefore)) {
            try TransportIdentity(
                privateKeyPEM: made.generated.privateKeyPEM, certificatePEM: made.generated.certificatePEM,
                now: validity.notBefore - 1)
        }
    }

    @Test("A certificate that would end before it begins is not made")
    func backwards() {
        #expect(throws: IdentityError.self) {
            try GeneratedIdentity(commonName: "a", validFrom: Date(), validUntil: Date(timeIntervalSinceNow: -1))
        }
    }

    @Test("Mutated certificate bytes are read as a validity or refused, never trusted to be well formed")
    func mutatedCertificates() throws {
        let pem = try TestIdentity("node").generated.certificatePEM
        let der = try NIOSSLCertificate(bytes: Array(pem.utf8), format: .pem).toDERBytes()
        var generator = SeededGenerator(seed: 11)
        var refused = 0
        for _ in 0..<3000 {
            var bytes = der
            for _ in 0...Int.random(in: 0..<3, using: &generator) {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
            }
            if CertificateValidity(derCertificate: bytes) == nil { refused += 1 }
        }
        #expect(refused > 0)
        #expect(CertificateValidity(derCertificate: der) != nil)
    }

    @Test("Any second has a text", arguments: [Int64.min, -1, 0, 1_700_000_000, 253_402_300_799, Int64.max])
    func texts(second: Int64) {
        #expect(!CertificateValidity.text(second: second).isEmpty)
    }

    @Test("A certificate's last 30 days are told, and its end")
    func warnings() throws {
        let day: Int64 = 86400
        let validity = CertificateValidity(notBefore: 0, notAfter: 100 * day)
        #expect(validity.warning(now: 0) == nil && validity.warning(now: 70 * day) == nil)
        #expect(try #require(validity.warning(now: 70 * day + 1)).contains("in 29 days"))
        #expect(try #require(validity.warning(now: 100 * day)).contains("expires at 1970-04-11T00:00:00Z, in 0 days"))
        #expect(try #require(validity.warning(now: 100 * day + 1)).contains("expired at 1970-04-11T00:00:00Z"))
        #expect(validity.daysLeft(now: 0) == 100 && validity.daysLeft(now: 99 * day + 1) == 0)
        #expect(validity.daysLeft(now: 100 * day + 1) == -1 && validity.daysLeft(now: 101 * day + 1) == -2)
        #expect(CertificateValidity(notBefore: 0, notAfter: .max).daysLeft(now: .min) == .max)
        #expect(CertificateValidity(notBefore: 0, notAfter: .min).daysLeft(now: .max) == .min)
        #expect(CertificateValidity(notBefore: 0, notAfter: .min).warning(now: 0) != nil)
    }
}
