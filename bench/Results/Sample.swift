// What one measurement counted, and the figures that follow from it.

/// The counts of one measurement: operations that began and ended in it, and all that they caused.
package struct Sample: Hashable, Sendable {
    package var operationCount = 0
    /// From the first operation's begin to the last one's end.
    package var seconds = 0.0
    /// Latencies at the percentiles 50, 99 and 99.9.
    package var p50Microseconds = 0.0
    package var p99Microseconds = 0.0
    package var p999Microseconds = 0.0
    /// Processor time, user and system, of the process that the clients are in, and of all servers.
    package var clientCPUSeconds = 0.0
    package var serverCPUSeconds = 0.0
    /// Processor time of all servers between the last operation's end and the end of what they put off.
    package var laterServerCPUSeconds = 0.0
    /// Bytes at the clients' sockets, TLS included.
    package var sentBytes: UInt64 = 0
    package var receivedBytes: UInt64 = 0
    /// Bytes that servers received from servers for what they put off, TLS included, between the first operation's
    /// begin and the end of that.
    package var verificationBytes: UInt64 = 0
    /// Growth of all stores, preallocated space that holds nothing yet left out.
    package var diskBytes = 0
    /// Rounds of messages, all operations together.
    package var roundCount = 0
    /// Of all servers together.
    package var signatureCount: UInt64 = 0
    package var groupCommitCount: UInt64 = 0

    package init() {}
}

/// A figure that follows from a sample; its raw value is its name in files.
package enum Figure: String, CaseIterable, Sendable {
    case operationsPerSecond = "operations_per_second"
    case megabytesPerSecond = "megabytes_per_second"
    case p50Microseconds = "p50_microseconds"
    case p99Microseconds = "p99_microseconds"
    case p999Microseconds = "p999_microseconds"
    case clientCPUSecondsPerGB = "client_cpu_seconds_per_gb"
    case serverCPUSecondsPerGB = "server_cpu_seconds_per_gb"
    case laterServerCPUSecondsPerGB = "later_server_cpu_seconds_per_gb"
    case sentBytesPerByte = "sent_bytes_per_byte"
    case receivedBytesPerByte = "received_bytes_per_byte"
    case verificationBytesPerByte = "verification_bytes_per_byte"
    case diskBytesPerByte = "disk_bytes_per_byte"
    case roundsPerOperation = "rounds_per_operation"
    case signaturesPerOperation = "signatures_per_operation"
    case groupCommitsPerOperation = "group_commits_per_operation"

    /// The figure of a sample in which values have `size` and at least one operation was done. A GB is 10^9 bytes, an
    /// MB 10^6.
    package func value(of sample: Sample, size: ByteSize) -> Double {
        precondition(sample.operationCount > 0 && sample.seconds > 0, "nothing was measured")
        let operations = Double(sample.operationCount)
        let bytes = operations * Double(size.bytes)
        return switch self {
        case .operationsPerSecond: operations / sample.seconds
        case .megabytesPerSecond: bytes / 1e6 / sample.seconds
        case .p50Microseconds: sample.p50Microseconds
        case .p99Microseconds: sample.p99Microseconds
        case .p999Microseconds: sample.p999Microseconds
        case .clientCPUSecondsPerGB: sample.clientCPUSeconds / bytes * 1e9
        case .serverCPUSecondsPerGB: sample.serverCPUSeconds / bytes * 1e9
        case .laterServerCPUSecondsPerGB: sample.laterServerCPUSeconds / bytes * 1e9
        case .sentBytesPerByte: Double(sample.sentBytes) / bytes
        case .receivedBytesPerByte: Double(sample.receivedBytes) / bytes
        case .verificationBytesPerByte: Double(sample.verificationBytes) / bytes
        case .diskBytesPerByte: Double(sample.diskBytes) / bytes
        case .roundsPerOperation: Double(sample.roundCount) / operations
        case .signaturesPerOperation: Double(sample.signatureCount) / operations
        case .groupCommitsPerOperation: Double(sample.groupCommitCount) / operations
        }
    }
}
