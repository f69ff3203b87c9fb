# Sourced before training. Buffers of many megabytes are kept between steps instead of being given back to
# the kernel and cleared again on each use; a waiting thread sleeps instead of spinning, so that a shared
# machine stays usable.
export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=16000000000 MALLOC_TOP_PAD_=268435456
export GLIBC_TUNABLES=glibc.malloc.hugetlb=1 OMP_WAIT_POLICY=passive
