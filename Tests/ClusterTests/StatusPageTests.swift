// The status page as a browser shows it, in front of a real cluster of which a server dies.

import Foundation
import Glibc
import LoopbackPorts
import QuorumProtocol
import Testing

extension Clusters {
    @Suite("The status page", .serialized) struct StatusPages {
        /// Debian's headless browser; nil where there is none.
        private static let browser: String? = {
            let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
            return path.map { "\($0)/chromium" }.first { access($0, X_OK) == 0 }
        }()

        /// The page's text once its script has run, as `--dump-dom` writes it.
        private func shown(at port: Int, in directory: String) async throws -> String {
            let output = "\(directory)/page-\(UUID().uuidString)"
            let process = try ChildProcess(
                try #require(Self.browser),
                [
                    // A process of the superuser has no sandbox, and a container may have no /dev/shm.
                    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                    "--user-data-dir=\(directory)/browser", "--virtual-time-budget=3000", "--dump-dom",
                    "http://127.0.0.1:\(port)/-/status",
                ], outputPath: output, group: Watchdog.group.get())
            defer { process.destroy() }
            #expect(try await process.wait(seconds: 120) == .exit(0), "\(process.output)")
            return process.output
        }

        /// What is in the element of an id, without the marks of other elements.
        private func text(_ id: String, of page: String) -> String {
            guard let begin = page.firstRange(of: "id=\"\(id)\""),
                let open = page[begin.upperBound...].firstIndex(of: ">")
            else { return "" }
            let tag = page[..<begin.lowerBound].split(separator: "<").last?.prefix { $0.isLetter } ?? ""
            let rest = page[page.index(after: open)...]
            let inner = rest.firstRange(of: "</\(tag)>").map { rest[..<$0.lowerBound] } ?? rest
            return String(inner.replacing(/<[^>]*>/, with: " "))
        }

        @Test(
            "tells in words whether all is well, and which server is gone", .timeLimit(.minutes(5)),
            .enabled(if: browser != nil, "chromium is not installed; scripts/setup chromium installs it"))
        func page() async throws {
            try await withCluster { cluster in
                let directory = cluster.directory
                #expect(try await cluster.run(["gateway", "init", directory, "s3"]).end == .exit(0))
                let ports = try FreePorts.take(2)
                let process = try ChildProcess(
                    Executable.path(),
                    [
                        "gateway", "serve", "--cluster", directory, "--listen", "127.0.0.1:\(ports[0])", "--metrics",
                        "127.0.0.1:\(ports[1])",
                    ], outputPath: directory + "/gateway.log", group: Watchdog.group.get())
                defer { process.destroy() }
                let deadline = ContinuousClock.now + .seconds(TestCluster.patienceSeconds)
                func level() throws -> String? {
                    let json = try HTTPAnswer.ask(
                        ports[1], "GET /-/status.json HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
                    let told = try json.map { try JSONSerialization.jsonObject(with: Data($0.body.utf8)) }
                    return ((told as? [String: Any])?["verdict"] as? [String: Any])?["level"] as? String
                }
                func wait(for wanted: String) async throws {
                    while try level() != wanted, process.currentEnd == nil, ContinuousClock.now < deadline {
                        try await Task.sleep(for: .milliseconds(100))
                    }
                }
                try await wait(for: "well")
                let well = try await shown(at: ports[1], in: directory)
                #expect(
                    text("summary", of: well) == "All 4 servers answer; every object can lose 1 more server.",
                    "\(well)")
                #expect(well.contains("<title>✓ Solidus</title>") && text("concerns", of: well).isEmpty)
                #expect(text("tiles", of: well).contains("0/s") || well.contains("0/s"))
                for server in cluster.servers {
                    #expect(text("servers", of: well).contains("127.0.0.1:\(cluster.port(server))"))
                }
                #expect(text("groups", of: well).contains("4 of 4"))

                cluster.kill(NodeID(2))
                try await wait(for: "strained")
                let strained = try await shown(at: ports[1], in: directory)
                #expect(
                    text("summary", of: strained)
                        == "3 of 4 servers work; everything can be read and written, "
                        + "and no object can lose another server.", "\(strained)")
                #expect(strained.contains("<title>! Solidus</title>"))
                #expect(text("concerns", of: strained).contains("Server 2 does not answer: "))
                #expect(text("servers", of: strained).contains("does not answer"))
                #expect(text("groups", of: strained).contains("3 of 4"))
                process.signal(SIGTERM)
                #expect(try await process.wait(seconds: TestCluster.patienceSeconds) == .exit(0), "\(process.output)")
            }
        }
    }
}
