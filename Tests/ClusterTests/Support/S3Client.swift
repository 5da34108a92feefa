// Clients of S3, as command lines, each of which is told in its own words where a gateway is.

import Foundation
import Glibc

enum S3Client: String, CaseIterable, Sendable {
    case aws, boto3, s3cmd, minio, rclone

    /// What people do with a bucket. Folders are below a prefix.
    enum Task {
        case makeBucket
        case putFolder(String, prefix: String)
        case getFolder(prefix: String, String)
        case list
        case put(String, key: String)
        case get(key: String, String)
        case copy(String, String)
        case move(String, String)
        case presign(String)
        case clear
        case removeBucket
    }

    static var installed: [S3Client] { allCases.filter(\.isInstalled) }

    var isInstalled: Bool {
        switch self {
        case .aws, .s3cmd, .rclone: Self.find(rawValue) != nil
        case .boto3, .minio: Self.pythonPackages.contains(rawValue)
        }
    }

    /// Whether it can sign a URL that the gateway takes: s3cmd has signature version 2 only.
    var presigns: Bool { self != .s3cmd }
    /// Whether it can say that a folder is there as it is; the others have no such command.
    var synchronizes: Bool { self == .aws || self == .s3cmd || self == .rclone }

    /// A name that is hard to spell in a URL; rclone takes empty names out of paths.
    var oddKey: String { self == .rclone ? "x/y +%20&=?#ü~" : "x//y +%20&=?#ü~" }

    /// What its environment has to say beside keys, region and address.
    func settings(_ gateway: TestGateway) -> [String] {
        switch self {
        case .aws:
            (gateway.certificate.map { ["AWS_CA_BUNDLE=\($0)"] } ?? [])
                + ["AWS_CONFIG_FILE=\(gateway.cluster.directory)/aws-config"]
        case .boto3: gateway.certificate.map { ["AWS_CA_BUNDLE=\($0)"] } ?? []
        case .minio: gateway.certificate.map { ["SSL_CERT_FILE=\($0)"] } ?? []
        case .s3cmd: []
        case .rclone:
            [
                "RCLONE_CONFIG_GATEWAY_TYPE=s3", "RCLONE_CONFIG_GATEWAY_PROVIDER=Other",
                "RCLONE_CONFIG_GATEWAY_ENV_AUTH=true", "RCLONE_CONFIG_GATEWAY_ENDPOINT=\(gateway.endpoint)",
                // It sends what is smaller than 200 MiB in one piece otherwise.
                "RCLONE_S3_UPLOAD_CUTOFF=16M",
            ] + (gateway.certificate.map { ["RCLONE_CA_CERT=\($0)"] } ?? [])
        }
    }

    /// Writes the configuration files that it needs.
    func configure(_ gateway: TestGateway) throws {
        let directory = gateway.cluster.directory
        switch self {
        case .aws:
            // Without it aws-cli 1 presigns with signature version 2.
            try File.write("\(directory)/aws-config", Array("[default]\ns3 =\n  signature_version = s3v4\n".utf8))
        case .s3cmd:
            let address = "127.0.0.1:\(gateway.port)"
            let lines = [
                "[default]", "host_base = \(address)", "host_bucket = \(address)",
                "use_https = \(gateway.encrypts ? "True" : "False")", "access_key = \(gateway.accessKey)",
                "secret_key = \(gateway.secretKey)", "progress_meter = False",
            ]
            let trust = gateway.certificate.map { ["ca_certs_file = \($0)"] } ?? []
            try File.write("\(directory)/s3cmd.cfg", Array((lines + trust).joined(separator: "\n").utf8))
        case .boto3, .minio, .rclone: break
        }
    }

    /// The command line of a task.
    func words(_ task: Task, bucket: String, _ gateway: TestGateway) -> [String] {
        switch self {
        case .aws: ["\(Self.find("aws")!)", "s3"] + Self.aws(task, "s3://\(bucket)")
        case .s3cmd:
            [Self.find("s3cmd")!, "-c", "\(gateway.cluster.directory)/s3cmd.cfg"]
                + Self.s3cmd(task, "s3://\(bucket)")
        case .rclone: [Self.find("rclone")!] + Self.rclone(task, "gateway:\(bucket)")
        case .boto3, .minio:
            [Self.find("python3")!, "\(Self.root)/Tests/S3Clients/sdk.py", rawValue] + Self.sdk(task, bucket)
        }
    }

    private static func aws(_ task: Task, _ bucket: String) -> [String] {
        switch task {
        case .makeBucket: ["mb", bucket]
        case .putFolder(let folder, let prefix): ["sync", folder, "\(bucket)/\(prefix)", "--no-progress"]
        case .getFolder(let prefix, let folder): ["sync", "\(bucket)/\(prefix)", folder, "--no-progress"]
        case .list: ["ls", bucket, "--recursive"]
        case .put(let file, let key): ["cp", file, "\(bucket)/\(key)", "--no-progress"]
        case .get(let key, let file): ["cp", "\(bucket)/\(key)", file, "--no-progress"]
        case .copy(let source, let target): ["cp", "\(bucket)/\(source)", "\(bucket)/\(target)", "--no-progress"]
        case .move(let source, let target): ["mv", "\(bucket)/\(source)", "\(bucket)/\(target)", "--no-progress"]
        case .presign(let key): ["presign", "\(bucket)/\(key)", "--expires-in", "60"]
        case .clear: ["rm", bucket, "--recursive", "--quiet"]
        case .removeBucket: ["rb", bucket]
        }
    }

    private static func s3cmd(_ task: Task, _ bucket: String) -> [String] {
        switch task {
        case .makeBucket: ["mb", bucket]
        case .putFolder(let folder, let prefix): ["sync", "\(folder)/", "\(bucket)/\(prefix)/"]
        case .getFolder(let prefix, let folder): ["sync", "\(bucket)/\(prefix)/", "\(folder)/"]
        case .list: ["ls", "-r", bucket]
        case .put(let file, let key): ["put", file, "\(bucket)/\(key)"]
        case .get(let key, let file): ["get", "\(bucket)/\(key)", file]
        case .copy(let source, let target): ["cp", "\(bucket)/\(source)", "\(bucket)/\(target)"]
        case .move(let source, let target): ["mv", "\(bucket)/\(source)", "\(bucket)/\(target)"]
        case .presign(let key): ["signurl", "\(bucket)/\(key)", "+60"]
        case .clear: ["del", "-r", "-f", bucket]
        case .removeBucket: ["rb", bucket]
        }
    }

    private static func rclone(_ task: Task, _ bucket: String) -> [String] {
        switch task {
        case .makeBucket: ["mkdir", bucket]
        case .putFolder(let folder, let prefix): ["sync", folder, "\(bucket)/\(prefix)"]
        case .getFolder(let prefix, let folder): ["sync", "\(bucket)/\(prefix)", folder]
        case .list: ["lsf", "-R", bucket]
        case .put(let file, let key): ["copyto", file, "\(bucket)/\(key)"]
        case .get(let key, let file): ["copyto", "\(bucket)/\(key)", file]
        case .copy(let source, let target): ["copyto", "\(bucket)/\(source)", "\(bucket)/\(target)"]
        case .move(let source, let target): ["moveto", "\(bucket)/\(source)", "\(bucket)/\(target)"]
        case .presign(let key): ["link", "--expire", "60s", "\(bucket)/\(key)"]
        case .clear: ["delete", bucket]
        case .removeBucket: ["rmdir", bucket]
        }
    }

    private static func sdk(_ task: Task, _ bucket: String) -> [String] {
        switch task {
        case .makeBucket: ["make-bucket", bucket]
        case .putFolder(let folder, let prefix): ["put-folder", folder, bucket, prefix]
        case .getFolder(let prefix, let folder): ["get-folder", bucket, prefix, folder]
        case .list: ["list", bucket]
        case .put(let file, let key): ["put", file, bucket, key]
        case .get(let key, let file): ["get", bucket, key, file]
        case .copy(let source, let target): ["copy", bucket, source, target]
        case .move(let source, let target): ["move", bucket, source, target]
        case .presign(let key): ["presign", bucket, key]
        case .clear: ["clear", bucket]
        case .removeBucket: ["remove-bucket", bucket]
        }
    }

    // MARK: What is installed

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    /// Where a program lies, among those that `scripts/setup-s3-clients` has put aside, or in the path.
    static func find(_ program: String) -> String? {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init)
        return ([root + "/.build/s3-clients/bin"] + path).map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    }

    /// Those of the packages that Python has.
    private static let pythonPackages: Set<String> = {
        guard let python = find("python3") else { return [] }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: python)
        process.arguments = [
            "-c",
            "import importlib.util; print(' '.join(n for n in ('boto3', 'minio') if importlib.util.find_spec(n)))",
        ]
        let output = Pipe()
        process.standardOutput = output
        guard (try? process.run()) != nil else { return [] }
        let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return Set(text.split { $0 == " " || $0 == "\n" }.map(String.init))
    }()
}
