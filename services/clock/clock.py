import time
from datetime import datetime


def now():
    return datetime.now().isoformat(timespec="milliseconds")


def wait(seconds):
    time.sleep(seconds)
