// A gateway in front of a cluster, as people run it: made and started by commands, with an access key.

import Foundation
import Glibc
import LoopbackPorts
import Testing

struct TestGateway: Sendable {
    let cluster: TestCluster
    let port: Int
    let metricsPort: Int
    let accessKey: String
    let secretKey: String
    /// Whether it speaks TLS.
    let encrypts: Bool
    /// What clients are told to trust.
    var certificate: String?

    var endpoint: String { "\(encrypts ? "https" : "http")://127.0.0.1:\(port)" }
    var accessLog: String { "\(cluster.directory)/access-\(port).log" }

    /// Runs a client of S3 to its end, as on a machine on which nobody has set up any.
    func run(
        _ words: [String], settings: [String] = [], in directory: String, seconds: Double = 300
    ) async throws -> CommandResult {
        let output = "\(directory)/output-\(UUID().uuidString)"
        let process = try ChildProcess(
            "/usr/bin/env", ["-i", "-C", directory] + ownSettings(home: directory) + settings + words,
            outputPath: output, group: Watchdog.group.get())
        defer {
            process.destroy()
            File.remove(output)
        }
        let end = try await process.wait(seconds: seconds)
        return CommandResult(end: end, output: process.output)
    }

    private func ownSettings(home: String) -> [String] {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"
        return [
            "PATH=\(path)", "HOME=\(home)", "TMPDIR=\(home)", "LANG=C.UTF-8", "AWS_ACCESS_KEY_ID=\(accessKey)",
            "AWS_SECRET_ACCESS_KEY=\(secretKey)", "AWS_DEFAULT_REGION=us-east-1", "AWS_ENDPOINT_URL=\(endpoint)",
            "AWS_EC2_METADATA_DISABLED=true",
        ]
    }

    /// How many requests of a method were answered whose targets have all of these in them.
    func requestCount(_ method: String, _ parts: String...) throws -> Int {
        struct Line: Decodable {
            let method: String
            let target: String
        }
        return try File.text(accessLog).split(separator: "\n").count { text in
            let line = try JSONDecoder().decode(Line.self, from: Data(text.utf8))
            return line.method == method && parts.allSatisfy { line.target.contains($0) }
        }
    }
}

/// Runs `body` with a gateway, which has to end in order afterwards.
///
/// - Parameter encrypts: whether it speaks TLS, under a certificate that it has signed by itself.
func withGateway<R>(
    _ cluster: TestCluster, encrypts: Bool = false, _ body: (TestGateway) async throws -> R
) async throws -> R {
    let directory = cluster.directory
    if access("\(directory)/clients/s3", F_OK) != 0 {
        let made = try await cluster.run(["gateway", "init", directory, "s3", "--json"])
        #expect(made.end == .exit(0) && made.output.contains("single-gateway"), "\(made)")
    }
    let added = try await cluster.run(["gateway", "key", "add", "tests", "--cluster", directory, "--json"])
    #expect(added.end == .exit(0), "\(added)")
    let key = try #require(try JSONSerialization.jsonObject(with: Data(added.output.utf8)) as? [String: Any])
    let certificate = encrypts ? "\(directory)/gateway-certificate.pem" : nil
    let ports = try FreePorts.take(2)
    let gateway = TestGateway(
        cluster: cluster, port: ports[0], metricsPort: ports[1], accessKey: try #require(key["access_key"] as? String),
        secretKey: try #require(key["secret_key"] as? String), encrypts: encrypts, certificate: certificate)
    var arguments = [
        "gateway", "serve", "--cluster", directory, "--listen", "127.0.0.1:\(ports[0])", "--metrics",
        "127.0.0.1:\(ports[1])", "--access-log", gateway.accessLog,
    ]
    if let certificate {
        let privateKey = "\(directory)/gateway-certificate-key.pem"
        try await makeCertificate(certificate, privateKey: privateKey, in: directory)
        arguments += ["--certificate", certificate, "--private-key", privateKey]
    }
    let process = try ChildProcess(
        Executable.path(), arguments, outputPath: "\(directory)/gateway-\(ports[0]).log", group: Watchdog.group.get())
    defer { process.destroy() }
    let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
    while !Loopback.accepts(port: ports[0]), process.currentEnd == nil, ContinuousClock.now < deadline {
        try await Task.sleep(for: .milliseconds(10))
    }
    try #require(process.currentEnd == nil, "\(process.output)")
    let result = try await body(gateway)
    process.signal(SIGTERM)
    #expect(try await process.wait(seconds: TestCluster.patienceSeconds) == .exit(0), "\(process.output)")
    return result
}

/// Signs a certificate for 127.0.0.1 by itself.
private func makeCertificate(_ certificate: String, privateKey: String, in directory: String) async throws {
    let process = try ChildProcess(
        "/usr/bin/env",
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", privateKey, "-out",
            certificate,
        ], outputPath: "\(directory)/openssl.log", group: Watchdog.group.get())
    defer { process.destroy() }
    try #require(try await process.wait(seconds: 60) == .exit(0), "\(process.output)")
}
