// What coding and verifying a stripe costs on one core: what the writer, the server and the reader do with each byte.

import ArgumentParser
import ErasureCode
import Fingerprint
import Foundation

/// `solidus-bench core`: encode, hash and fingerprint a block; verify a fragment; verify and decode m fragments.
struct CoreBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "core", abstract: "Times encoding, verifying and decoding one stripe on one core.")

    @Option(help: "Rounds; in each, everything is measured once, and the medians are printed.")
    var rounds = 15

    @Flag(help: "Print one JSON object a line.")
    var json = false

    private static let codes = [(m: 2, n: 4), (m: 3, n: 7), (m: 4, n: 8), (m: 8, n: 10), (m: 7, n: 19)]
    private static let blockSizes = [4 << 10, 64 << 10, 1 << 20, 4 << 20]
    private static let secondsPerMeasurement = 0.01

    func run() throws {
        guard rounds > 0 else { throw ValidationError("there must be at least one round") }
        if !json { print(Row.header) }
        for (m, n) in Self.codes {
            let code = try ReedSolomonCode(dataFragmentCount: m, fragmentCount: n)
            for size in Self.blockSizes { try measure(code, blockSizeBytes: size) }
        }
    }

    private func measure(_ code: ReedSolomonCode, blockSizeBytes size: Int) throws {
        let block = SharedBytes((0..<size).map { UInt8(truncatingIfNeeded: $0 &* 0x9E37_79B1 >> 7) })
        let (fragments, crossChecksum) = CrossChecksum.encode(block: block, code: code)
        // The worst case that needs no liar: every data fragment that can be missing is.
        let served = fragments.indices.suffix(code.dataFragmentCount).map { FragmentIndex(UInt8($0)) }
        var encode: [Double] = []
        var verify: [Double] = []
        var decode: [Double] = []
        var copy: [Double] = []
        for _ in 0..<rounds {
            encode.append(time { _ = CrossChecksum.encode(block: block, code: code) })
            verify.append(try time { _ = try crossChecksum.verify(fragments[0], at: FragmentIndex(0)) })
            decode.append(
                try time {
                    let verifier = FragmentVerifier(crossChecksum)
                    let good = try served.map { try verifier.verify(fragments[$0.offset], at: $0) }
                    _ = try crossChecksum.decode(good)
                })
            copy.append(time { _ = SharedBytes(block.array) })
        }
        let row = Row(
            code: code, blockSizeBytes: size, encodeSeconds: median(encode), verifyFragmentSeconds: median(verify),
            decodeSeconds: median(decode), copySeconds: median(copy))
        print(json ? try row.json : row.text)
    }

    /// Seconds for one call, over as many calls as fill the measuring time.
    private func time(_ work: () throws -> Void) rethrows -> Double {
        let clock = ContinuousClock()
        let start = clock.now
        var calls = 0
        var elapsed: Double
        repeat {
            try work()
            calls += 1
            let duration = clock.now - start
            elapsed = Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
        } while elapsed < Self.secondsPerMeasurement
        return elapsed / Double(calls)
    }

    private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
}

/// One line of the result.
private struct Row {
    let code: ReedSolomonCode
    let blockSizeBytes: Int
    let encodeSeconds: Double
    let verifyFragmentSeconds: Double
    let decodeSeconds: Double
    let copySeconds: Double

    static let header = "code     block     encode+hash+fp   verify fragment   verify m + decode   copy twice   (GB/s)"

    private func gigabytes(_ bytes: Int, _ seconds: Double) -> Double { Double(bytes) / seconds / 1e9 }

    private var rates: [(name: String, value: Double)] {
        let fragmentSize = code.fragmentSizeBytes(blockSizeBytes: blockSizeBytes)
        return [
            ("encode_gb_per_s", gigabytes(blockSizeBytes, encodeSeconds)),
            ("verify_fragment_gb_per_s", gigabytes(fragmentSize, verifyFragmentSeconds)),
            ("decode_gb_per_s", gigabytes(blockSizeBytes, decodeSeconds)),
            ("copy_gb_per_s", gigabytes(blockSizeBytes, copySeconds)),
        ]
    }

    var text: String {
        let name = "(\(code.dataFragmentCount),\(code.fragmentCount))".padding(
            toLength: 9, withPad: " ", startingAt: 0)
        let size = "\(blockSizeBytes >> 10) KiB".padding(toLength: 10, withPad: " ", startingAt: 0)
        let columns = zip(rates, [17, 18, 20, 12]).map { rate, width in
            String(format: "%.2f", rate.value).padding(toLength: width, withPad: " ", startingAt: 0)
        }
        return name + size + columns.joined()
    }

    var json: String {
        get throws {
            var object: [String: Double] = [
                "m": Double(code.dataFragmentCount), "n": Double(code.fragmentCount),
                "block_bytes": Double(blockSizeBytes),
            ]
            for rate in rates { object[rate.name] = rate.value }
            let data = try JSONSerialization.data(withJSONObject: object, options: [.sortedKeys])
            return String(decoding: data, as: UTF8.self)
        }
    }
}
