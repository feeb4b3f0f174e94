//! usage: arrow FILE
//!
//! Reads a CSV file into columns, sorts it by two of them, and prints it.

use std::fs::File;
use std::io;
use std::sync::Arc;

use arrow_csv::reader::Format;
use arrow_csv::{ReaderBuilder, WriterBuilder};
use arrow_ord::sort::{lexsort_to_indices, SortColumn};
use arrow_select::concat::concat_batches;
use arrow_select::take::take_record_batch;

fn main() {
    let [file] = drivers::arguments();
    let format = Format::default().with_header(true);
    let (schema, _) = format.infer_schema(File::open(&file).unwrap(), Some(1000)).unwrap();
    let schema = Arc::new(schema);
    let reader = ReaderBuilder::new(schema.clone()).with_format(format);
    let batches: Result<Vec<_>, _> = reader.build(File::open(&file).unwrap()).unwrap().collect();
    let table = concat_batches(&schema, &batches.unwrap()).unwrap();
    let column = |i| SortColumn { values: table.column(i).clone(), options: None };
    let by = [column(1), column(0)];
    let order = lexsort_to_indices(&by, None).unwrap();
    let sorted = take_record_batch(&table, &order).unwrap();
    WriterBuilder::new().build(io::stdout().lock()).write(&sorted).unwrap();
}

allocator::register!();
