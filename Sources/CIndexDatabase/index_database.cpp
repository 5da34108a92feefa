#include "index_database.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>

#include <unistd.h>

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include "patient_files.h"

using rocksdb::Slice;
using rocksdb::Status;

struct index_value {
    rocksdb::PinnableSlice bytes;
};

struct index_walk {
    std::unique_ptr<rocksdb::Iterator> iterator;
};

struct index_database {
    std::shared_ptr<Patience> patience;
    std::unique_ptr<rocksdb::Env> env;
    std::unique_ptr<rocksdb::DB> database;
    rocksdb::WriteOptions write_options;
    rocksdb::ReadOptions read_options;
    rocksdb::ReadOptions on_disk_read_options;
    rocksdb::ReadOptions in_memory_read_options;
};

namespace {

/// With so many full, writes would wait for a flush, and a flush may wait for room for ever. Nothing gets there:
/// flushes are begun while few wait, and the store takes little more once one waits for room.
constexpr int writeBuffersMax = 12;
constexpr uint64_t waitingBuffersMax = 3;

char *copyOf(const std::string &text) { return strdup(text.c_str()); }

index_outcome outcome(const Status &status, char **message) {
    if (status.ok()) return INDEX_OK;
    if (status.IsNotFound()) return INDEX_NOT_FOUND;
    *message = copyOf(status.ToString());
    if (status.IsCorruption() || status.IsPathNotFound()) return INDEX_DAMAGED;
    return status.IsNoSpace() ? INDEX_NO_SPACE : INDEX_FAILED;
}

index_outcome deathOf(const Patience &patience, char **message) {
    *message = copyOf(std::string("a write failed: ") + strerror(patience.failure()));
    return patience.failure() == ENOSPC || patience.failure() == EDQUOT ? INDEX_NO_SPACE : INDEX_FAILED;
}

rocksdb::Options optionsFor(const index_settings &settings, rocksdb::Env *env) {
    rocksdb::Options options;
    options.env = env;
    options.create_if_missing = settings.creating != 0;
    options.error_if_exists = settings.creating != 0;
    // With paranoid checks one rotten block stops every write for good, once a compaction meets it. Without them the
    // compaction fails and is tried again, and whoever reads the block gets an error.
    options.paranoid_checks = false;
    // Such a compaction must not stop writes by the files that it leaves.
    options.level0_slowdown_writes_trigger = 1 << 20;
    options.level0_stop_writes_trigger = 1 << 20;
    options.soft_pending_compaction_bytes_limit = 0;
    options.hard_pending_compaction_bytes_limit = 0;
    options.write_buffer_size = settings.write_buffer_bytes;
    options.max_write_buffer_number = writeBuffersMax;
    options.max_background_jobs = 2;
    options.max_open_files = 256;
    // Keys and records are mostly hashes and signatures, which do not compress.
    options.compression = rocksdb::kNoCompression;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    // Closing leaves what a crash would leave.
    options.avoid_flush_during_shutdown = true;
    rocksdb::BlockBasedTableOptions table;
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.block_cache = rocksdb::NewLRUCache(settings.cache_bytes);
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    return options;
}

/// Reads a batch's changes in the form that the header describes.
class ChangeReader {
public:
    ChangeReader(const void *bytes, size_t size) : position_(static_cast<const char *>(bytes)), left_(size) {}

    bool isAtEnd() const { return left_ == 0; }

    bool take(uint8_t *value) {
        if (left_ < 1) return false;
        *value = static_cast<uint8_t>(*position_);
        advance(1);
        return true;
    }

    bool take(Slice *bytes) {
        uint32_t size;
        if (left_ < sizeof size) return false;
        memcpy(&size, position_, sizeof size);
        size = le32toh(size);
        advance(sizeof size);
        if (left_ < size) return false;
        *bytes = Slice(position_, size);
        advance(size);
        return true;
    }

private:
    void advance(size_t count) {
        position_ += count;
        left_ -= count;
    }

    const char *position_;
    size_t left_;
};

Status batchOf(const void *changes, size_t size, rocksdb::WriteBatch *batch) {
    ChangeReader reader(changes, size);
    while (!reader.isAtEnd()) {
        uint8_t kind;
        Slice first, second;
        if (!reader.take(&kind) || !reader.take(&first)) return Status::InvalidArgument("malformed batch");
        if (kind != INDEX_DELETE && !reader.take(&second)) return Status::InvalidArgument("malformed batch");
        Status status;
        switch (kind) {
            case INDEX_PUT: status = batch->Put(first, second); break;
            case INDEX_DELETE: status = batch->Delete(first); break;
            case INDEX_DELETE_RANGE: status = batch->DeleteRange(first, second); break;
            default: status = Status::InvalidArgument("malformed batch");
        }
        if (!status.ok()) return status;
    }
    return Status::OK();
}

uint64_t number(rocksdb::DB &database, const std::string &property) {
    uint64_t value = 0;
    (void)database.GetIntProperty(property, &value);
    return value;
}

}  // namespace

void index_free(char *message) { free(message); }

index_outcome index_open(
    const char *path, const index_settings *settings, index_database **database, char **message) {
    // RocksDB calls a database without this file a wrong argument.
    if (!settings->creating && access((std::string(path) + "/CURRENT").c_str(), F_OK) != 0 && errno == ENOENT) {
        *message = copyOf("its file CURRENT is missing");
        return INDEX_DAMAGED;
    }
    auto opened = std::make_unique<index_database>();
    if (settings->creating) (void)rocksdb::Env::Default()->CreateDirIfMissing(path);
    opened->patience = std::make_shared<Patience>(std::string(path) + "/set-aside", settings->set_aside_bytes);
    opened->env = rocksdb::NewCompositeEnv(makePatientFileSystem(opened->patience));
    rocksdb::DB *raw = nullptr;
    const Status status = rocksdb::DB::Open(optionsFor(*settings, opened->env.get()), path, &raw);
    opened->database.reset(raw);
    if (opened->patience->isDead()) {
        opened->database.reset();
        return deathOf(*opened->patience, message);
    }
    if (!status.ok()) {
        // A file that is missing is damage, too, however the system calls it.
        const index_outcome found = outcome(status, message);
        return found == INDEX_NOT_FOUND ? INDEX_DAMAGED : found;
    }
    opened->patience->setImpatient(false);
    opened->write_options.disableWAL = true;
    opened->on_disk_read_options.read_tier = rocksdb::kPersistedTier;
    opened->in_memory_read_options.read_tier = rocksdb::kBlockCacheTier;
    *database = opened.release();
    return INDEX_OK;
}

void index_close(index_database *database) {
    // Whatever waits for room goes dead and ends.
    database->patience->setImpatient(true);
    rocksdb::CancelAllBackgroundWork(database->database.get(), true);
    database->database.reset();
    delete database;
}

index_outcome index_get(
    index_database *database, const void *key, size_t key_size, index_place place, index_value **value,
    char **message) {
    auto found = std::make_unique<index_value>();
    const Status status = database->database->Get(
        place == INDEX_ON_DISK     ? database->on_disk_read_options
        : place == INDEX_IN_MEMORY ? database->in_memory_read_options
                                   : database->read_options,
        database->database->DefaultColumnFamily(), Slice(static_cast<const char *>(key), key_size), &found->bytes);
    // A dead file system lets a flush seem to succeed. That it is alive now shows that it was when this was written.
    if (place == INDEX_ON_DISK && database->patience->isDead()) return deathOf(*database->patience, message);
    if (place == INDEX_IN_MEMORY && status.IsIncomplete()) return INDEX_NOT_IN_MEMORY;
    if (!status.ok()) return outcome(status, message);
    *value = found.release();
    return INDEX_OK;
}

const void *index_value_bytes(const index_value *value, size_t *size) {
    *size = value->bytes.size();
    return value->bytes.data();
}

void index_value_release(index_value *value) { delete value; }

index_outcome index_write(index_database *database, const void *changes, size_t size, char **message) {
    if (database->patience->isDead()) return deathOf(*database->patience, message);
    rocksdb::WriteBatch batch(size + 64);
    Status status = batchOf(changes, size, &batch);
    if (status.ok()) status = database->database->Write(database->write_options, &batch);
    return outcome(status, message);
}

index_outcome index_flush(index_database *database, int waiting, char **message) {
    if (database->patience->isDead()) return deathOf(*database->patience, message);
    const uint64_t waitingBuffers = number(*database->database, rocksdb::DB::Properties::kNumImmutableMemTable);
    if (database->patience->isWaiting() || (!waiting && waitingBuffers >= waitingBuffersMax)) {
        // Every flush begun fills a buffer, however small.
        if (!waiting) return INDEX_OK;
        *message = copyOf("no room to flush the index");
        return INDEX_NO_SPACE;
    }
    rocksdb::FlushOptions options;
    options.wait = false;
    options.allow_write_stall = true;
    const Status status = database->database->Flush(options);
    if (!status.ok() || !waiting) return outcome(status, message);
    const uint64_t errors = number(*database->database, rocksdb::DB::Properties::kBackgroundErrors);
    auto pause = std::chrono::microseconds(50);
    while (number(*database->database, rocksdb::DB::Properties::kNumImmutableMemTable) > 0) {
        if (database->patience->isWaiting()) {
            *message = copyOf("no room to flush the index");
            return INDEX_NO_SPACE;
        }
        if (database->patience->isDead()) break;
        if (number(*database->database, rocksdb::DB::Properties::kBackgroundErrors) > errors) {
            *message = copyOf("the index could not be flushed");
            return INDEX_FAILED;
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, std::chrono::microseconds(5000));
    }
    // Dead now, it may have been when the flush ended.
    return database->patience->isDead() ? deathOf(*database->patience, message) : INDEX_OK;
}

int index_is_short_of_space(const index_database *database) { return database->patience->isWaiting(); }

uint64_t index_unflushed_bytes(index_database *database) {
    return number(*database->database, rocksdb::DB::Properties::kCurSizeAllMemTables);
}

uint64_t index_release_set_aside(index_database *database, uint64_t bytes) {
    return database->patience->release(bytes);
}

void index_replenish_set_aside(index_database *database) { database->patience->replenish(); }

index_walk *index_walk_create(index_database *database) {
    auto walk = std::make_unique<index_walk>();
    walk->iterator.reset(database->database->NewIterator(database->read_options));
    return walk.release();
}

void index_walk_release(index_walk *walk) { delete walk; }

void index_walk_seek(index_walk *walk, const void *key, size_t key_size, int backward) {
    const Slice target(static_cast<const char *>(key), key_size);
    if (backward) {
        walk->iterator->SeekForPrev(target);
    } else {
        walk->iterator->Seek(target);
    }
}

void index_walk_next(index_walk *walk) { walk->iterator->Next(); }

void index_walk_previous(index_walk *walk) { walk->iterator->Prev(); }

index_outcome index_walk_key(index_walk *walk, const void **key, size_t *size, char **message) {
    if (walk->iterator->Valid()) {
        const Slice found = walk->iterator->key();
        *key = found.data();
        *size = found.size();
        return INDEX_OK;
    }
    const index_outcome end = outcome(walk->iterator->status(), message);
    return end == INDEX_OK ? INDEX_NOT_FOUND : end;
}

const void *index_walk_value(index_walk *walk, size_t *size) {
    const Slice found = walk->iterator->value();
    *size = found.size();
    return found.data();
}
