// The client library as one module: what its interface names comes with it.

@_exported import ClusterFiles
@_exported import ErasureCode
@_exported import Fingerprint
@_exported import QuorumClient
@_exported import QuorumProtocol

@_exported import struct Logging.Logger
@_exported import struct NIOCore.ByteBuffer
