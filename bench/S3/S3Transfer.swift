// A large object through the gateway, byte for byte known, with no more of it in memory than a block.

import BenchmarkResults
import ErasureCode
import Foundation
import QuorumProtocol
import S3Wire

struct S3Transfer {
    let target: S3Target
    let sizeBytes: Int
    let path = "/\(S3Load.bucket)/large"

    /// Seconds that it took.
    func put() throws -> Double {
        let start = ContinuousClock.now
        let caller = target.caller()
        let connection = try caller.open()
        try connection.send(caller.head(S3Call("PUT", path), lengthBytes: sizeBytes))
        let contents = TransferContents(sizeBytes: UInt64(sizeBytes))
        try contents.eachBlock { block in
            try block.withUnsafeBytes { (bytes) throws(S3WireError) in try connection.send([], body: bytes) }
        }
        let answer = try connection.receive()
        guard answer.status == 200 else {
            throw BenchmarkError.transferFailed(status: Int32(answer.status), reason: path)
        }
        return (ContinuousClock.now - start).inSeconds
    }

    /// The same out; each byte is compared.
    func get() throws -> Double {
        let start = ContinuousClock.now
        let caller = target.caller()
        let contents = TransferContents(sizeBytes: UInt64(sizeBytes))
        var offset: UInt64 = 0
        var isRight = true
        let answer = try caller.call(S3Call("GET", path)) { bytes in
            isRight = isRight && contents.matches(SharedBytes(bytes), from: offset)
            offset += UInt64(bytes.count)
        }
        guard answer.status == 200, offset == UInt64(sizeBytes) else {
            throw BenchmarkError.transferFailed(status: Int32(answer.status), reason: "\(offset) bytes of \(path)")
        }
        guard isRight else { throw BenchmarkError.wrongBytes(try ObjectKey(String(path.dropFirst())), from: 0) }
        return (ContinuousClock.now - start).inSeconds
    }
}
