"""A browser: a page, a form's upload, server-sent events."""

import hashlib
import shutil
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.frameworks.apps.fastapi_app import app
from tests.live import TIMEOUT, serving

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="no Chromium and its driver here")
def test_a_page_with_an_upload_and_events(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(bytes(300_000))
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-proxy-server"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    with serving(app) as live:
        driver = webdriver.Chrome(options, Service(DRIVER))
        try:
            driver.get(live.server.url)
            driver.find_element(By.ID, "file").send_keys(str(file))
            driver.find_element(By.ID, "send").click()
            wait = WebDriverWait(driver, TIMEOUT)
            sum_of = hashlib.sha256(file.read_bytes()).hexdigest()
            wait.until(lambda d: d.find_element(By.ID, "sum").text == sum_of)
            wait.until(lambda d: d.find_element(By.ID, "events").text == "012")
        finally:
            driver.quit()
